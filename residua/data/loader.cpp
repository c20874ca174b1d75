#include "residua/data/loader.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <numeric>
#include <set>

#include "residua/core/log.h"
#include "residua/data/mix.h"
#include "residua/data/prefetch.h"

namespace residua {

namespace {

bool is_corrupt(ErrorKind kind) {
  return kind == ErrorKind::corrupt_file || kind == ErrorKind::limit ||
         kind == ErrorKind::unsupported;
}

}  // namespace

struct Loader::Impl {
  struct LeftOut {
    int64_t index = 0;
    std::string why;
  };
  struct MadeBatch {
    Batch batch;
    std::vector<LeftOut> left_out;
  };

  std::shared_ptr<const Dataset> dataset;
  Pipeline pipeline;
  LoaderOptions options;
  Random random;

  int64_t epoch = 0;
  std::vector<int64_t> order;
  std::vector<Pipeline::Scratch> scratch;  // by worker
  int64_t skipped = 0;
  std::set<int64_t> reported;
  bool started = false;
  std::optional<Prefetcher<MadeBatch>> prefetcher;  // last: its threads use everything above

  Impl(std::shared_ptr<const Dataset> data, Pipeline transforms, LoaderOptions o, Random r)
      : dataset(std::move(data)), pipeline(std::move(transforms)), options(o), random(r) {}

  int64_t batches() const {
    const int64_t n = dataset->size(), size = options.batch_size;
    return options.drop_last ? n / size : (n + size - 1) / size;
  }

  MadeBatch make(int64_t worker, int64_t number, const std::atomic<bool>& cancelled);
  void read_samples(int64_t worker, std::span<const int64_t> wanted, MadeBatch& made, float* input,
                    int64_t* labels, const std::atomic<bool>& cancelled);
  bool read_sample(int64_t index, float* input, int64_t& label, Pipeline::Scratch& memory,
                   MadeBatch& made);
  void mix(Batch& batch) const;
  void report(const MadeBatch& made);
};

// False: the sample is corrupt and left out.
bool Loader::Impl::read_sample(int64_t index, float* input, int64_t& label,
                               Pipeline::Scratch& memory, MadeBatch& made) {
  const auto layout =
      options.channels_last ? PixelLayout::channels_last : PixelLayout::channels_first;
  const Random draws = random.split("sample")
                           .split(static_cast<uint64_t>(epoch))
                           .split(static_cast<uint64_t>(index));
  try {
    label = pipeline.load(*dataset, index, draws, {input, static_cast<size_t>(pipeline.elements())},
                          layout, memory);
    return true;
  } catch (const Error& error) {
    if (!is_corrupt(error.kind())) throw;
    if (!options.skip_corrupt) {
      ErrorText text = error.text();
      if (text.hint.empty())
        text.hint = "`data.skip_corrupt=true` leaves out images that cannot be read";
      throw Error(error.kind(), text);
    }
    made.left_out.push_back({index, error.what()});
    return false;
  }
}

void Loader::Impl::read_samples(int64_t worker, std::span<const int64_t> wanted, MadeBatch& made,
                                float* input, int64_t* labels, const std::atomic<bool>& cancelled) {
  std::vector<int64_t>& kept = made.batch.indices;
  kept.reserve(wanted.size());
  for (const int64_t index : wanted) {
    if (cancelled) return;
    const auto at = static_cast<int64_t>(kept.size());
    if (read_sample(index, input + at * pipeline.elements(), labels[at], scratch[worker], made))
      kept.push_back(index);
  }
}

Loader::Impl::MadeBatch Loader::Impl::make(int64_t worker, int64_t number,
                                           const std::atomic<bool>& cancelled) {
  const int64_t begin = number * options.batch_size;
  const int64_t count = std::min<int64_t>(options.batch_size, dataset->size() - begin);
  MadeBatch made;
  Batch& batch = made.batch;
  batch.number = number;
  const auto format =
      options.channels_last ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
  batch.input = at::empty({count, pipeline.channels(), pipeline.height(), pipeline.width()},
                          at::TensorOptions(at::kFloat).memory_format(format));
  batch.label = at::empty({count}, at::kLong);
  read_samples(worker, std::span(order).subspan(begin, count), made, batch.input.data_ptr<float>(),
               batch.label.data_ptr<int64_t>(), cancelled);
  if (batch.size() < count) {
    batch.input = batch.input.narrow(0, 0, batch.size());
    batch.label = batch.label.narrow(0, 0, batch.size());
  }
  batch.target = batch.label;
  if (pipeline.mix().enabled() && batch.size() > 0) mix(batch);
  return made;
}

void Loader::Impl::mix(Batch& batch) const {
  Random draws = random.split("mix")
                     .split(static_cast<uint64_t>(epoch))
                     .split(static_cast<uint64_t>(batch.number));
  const BatchMix drawn = draw_mix(pipeline.mix(), pipeline.height(), pipeline.width(), draws);
  mix_images(drawn, batch.size(), pipeline.channels(), pipeline.height(), pipeline.width(),
             options.channels_last, batch.input.data_ptr<float>());
  const auto classes = static_cast<int64_t>(dataset->info().classes.size());
  batch.target = at::empty({batch.size(), classes}, at::kFloat);
  mix_labels(drawn, {batch.label.data_ptr<int64_t>(), batch.indices.size()}, classes,
             batch.target.data_ptr<float>());
}

void Loader::Impl::report(const MadeBatch& made) {
  skipped += static_cast<int64_t>(made.left_out.size());
  for (const LeftOut& one : made.left_out)
    if (reported.insert(one.index).second)
      log_message(LogLevel::warning, "left out " + dataset->describe(one.index) + ": " + one.why);
}

Loader::Loader(std::shared_ptr<const Dataset> dataset, Pipeline pipeline, LoaderOptions options,
               Random random)
    : impl_(std::make_unique<Impl>(std::move(dataset), std::move(pipeline), options, random)) {
  Impl& self = *impl_;
  if (options.batch_size < 1 || options.workers < 0 || options.prefetch < 1)
    throw Error(ErrorKind::invalid_argument,
                {.where = "loader",
                 .rule = "needs batch_size and prefetch of at least 1, and workers of at least 0"});
  if (self.batches() == 0)
    throw Error(ErrorKind::invalid_argument,
                {.where = "data.batch_size",
                 .rule = "leaves no batch",
                 .expected = fmt::format("at most the {} images of {}", self.dataset->size(),
                                         self.dataset->info().name),
                 .received = std::to_string(options.batch_size)});
  self.scratch.resize(static_cast<size_t>(std::max<int64_t>(options.workers, 1)));
  self.order.resize(static_cast<size_t>(self.dataset->size()));
  self.prefetcher.emplace(
      options.workers, options.prefetch,
      [&self](int64_t worker, int64_t number, const std::atomic<bool>& cancelled) {
        return self.make(worker, number, cancelled);
      });
}

Loader::~Loader() = default;

void Loader::start(int64_t epoch, int64_t first_batch) {
  Impl& self = *impl_;
  if (epoch < 0 || first_batch < 0 || first_batch > self.batches())
    throw Error(ErrorKind::invalid_argument,
                {.where = "loader",
                 .rule = "cannot start there",
                 .expected = fmt::format("an epoch of at least 0 and a batch of at most {}",
                                         self.batches()),
                 .received = fmt::format("epoch {}, batch {}", epoch, first_batch)});
  self.prefetcher->start(0, 0);  // the workers must rest while the order changes
  self.epoch = epoch;
  std::iota(self.order.begin(), self.order.end(), int64_t{0});
  if (self.options.shuffle) {
    Random draws = self.random.split("order").split(static_cast<uint64_t>(epoch));
    draws.shuffle(self.order);
  }
  self.started = true;
  self.prefetcher->start(first_batch, self.batches());
}

std::optional<Batch> Loader::next() {
  Impl& self = *impl_;
  if (!self.started)
    throw Error(ErrorKind::internal,
                {.where = "loader", .rule = "next() was called before start()"});
  while (auto made = self.prefetcher->next()) {
    self.report(*made);
    if (made->batch.size() > 0) return std::move(made->batch);
  }
  return std::nullopt;
}

int64_t Loader::batches_per_epoch() const { return impl_->batches(); }
int64_t Loader::samples() const { return impl_->dataset->size(); }
std::string Loader::dataset_name() const { return impl_->dataset->info().name; }
int64_t Loader::skipped() const { return impl_->skipped; }
const Dataset& Loader::dataset() const { return *impl_->dataset; }

}  // namespace residua
