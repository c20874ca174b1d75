// Images through a network: several at once, the best classes of each.

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <thread>

#include "app/progress_line.h"
#include "app/run_parts.h"
#include "residua/core/error.h"
#include "residua/core/log.h"
#include "residua/graph/passes/passes.h"
#include "residua/runtime/batch.h"
#include "residua/runtime/classes.h"
#include "residua/runtime/compiled_model.h"
#include "residua/runtime/weight_store.h"

namespace residua::app {

namespace {

constexpr int64_t kImagesAtOnce = 8;

ImagePreprocessing preparation(const ModelFile& file, const Json& set) {
  if (!file.info.images && preprocessing_of(file.graph) == std::nullopt && set.empty())
    throw Error(ErrorKind::unsupported,
                {.where = file.path,
                 .rule = "does not read images",
                 .expected = "one input F32 [N, C, H, W] of 1 or 3 channels",
                 .hint = "give its inputs as .npy, .npz or .safetensors files"});
  ImagePreprocessing images;
  if (file.info.images)
    images = *file.info.images;
  else if (const auto found = preprocessing_of(file.graph))
    images = *found;
  assign(images, set, "images");
  check_preprocessing(images);
  if (!takes_images(file.graph, images))
    throw Error(ErrorKind::shape, {.where = file.path,
                                   .rule = "reads no images of this size and number of channels",
                                   .received = fmt::format("{} x {} x {}", images.mean.size(),
                                                           images.height, images.width)});
  if (file.assumes_images && (!set.contains("mean") || !set.contains("stddev")))
    log_message(
        LogLevel::warning,
        fmt::format("{} does not say how images are prepared: taken are {} x {} pixels, "
                    "mean [{:.4g}] and stddev [{:.4g}], as for ImageNet (images.mean=[...] and "
                    "the like say others)",
                    file.path, images.height, images.width, fmt::join(images.mean, ", "),
                    fmt::join(images.stddev, ", ")));
  return images;
}

int64_t images_at_once(const RunArguments& a, const Graph& graph) {
  if (a.batch > 0) return a.batch;
  const auto count = static_cast<int64_t>(a.inputs.size());
  return has_open_batch(graph) ? std::min(count, kImagesAtOnce) : batch_of(graph);
}

// Reads and prepares the images of a batch on several threads.
class BatchReader {
 public:
  BatchReader(const ImagePreprocessing& images, int threads)
      : workers_(static_cast<size_t>(threads), ImageInput(images)) {}

  // `place(i)` is where the numbers of image i go. Throws the error of the first image that cannot
  // be read.
  template <class Place>
  void read(std::span<const std::string> paths, const Place& place) {
    const size_t threads = std::min(workers_.size(), paths.size());
    std::vector<std::exception_ptr> failures(paths.size());
    const auto work = [&](size_t worker) {
      for (size_t i = worker; i < paths.size(); i += threads) try {
          workers_[worker].write(read_image(paths[i]), place(i));
        } catch (...) {
          failures[i] = std::current_exception();
        }
    };
    std::vector<std::thread> others;
    for (size_t worker = 1; worker < threads; ++worker) others.emplace_back(work, worker);
    work(0);
    for (std::thread& other : others) other.join();
    for (const std::exception_ptr& failure : failures)
      if (failure) std::rethrow_exception(failure);
  }

 private:
  std::vector<ImageInput> workers_;
};

// A session with memory for one batch.
class ImageRunner {
 public:
  ImageRunner(Graph graph, const PlanOptions& options)
      : graph_(std::move(graph)),
        session_(std::make_shared<const Plan>(graph_, options)),
        batch_(batch_of(graph_)) {
    const Plan& plan = session_.plan();
    const int64_t bytes = checked_bytes(plan.input_types()[0].shape, DType::f32, "images");
    input_ = aligned_bytes(bytes);
    std::memset(input_.get(), 0, static_cast<size_t>(bytes));
    for (size_t i = 0; i < plan.output_types().size(); ++i) {
      const TensorType& type = plan.output_types()[i];
      const int64_t size = checked_bytes(type.shape, type.dtype, plan.output_names()[i]);
      memory_.push_back(aligned_bytes(size));
      outputs_.push_back(memory_.back().get());
      spans_.push_back({memory_.back().get(), static_cast<size_t>(size)});
    }
    scores_ = !plan.output_types().empty() && is_scores(plan.output_types()[0], batch_);
    kind_ = plan.output_types().empty() ? ScoreKind::logits : score_kind(graph_, graph_.outputs[0]);
  }

  int64_t batch() const { return batch_; }
  std::span<float> input(int64_t image) {
    const auto each = static_cast<size_t>(
        checked_numel(session_.plan().input_types()[0].shape, "images") / batch_);
    return {reinterpret_cast<float*>(input_.get()) + each * static_cast<size_t>(image), each};
  }
  double run() {
    const double begin = run_clock();
    const void* const inputs[] = {input_.get()};
    session_.run(inputs, outputs_);
    return run_clock() - begin;
  }

  bool has_scores() const { return scores_; }
  std::vector<std::pair<int64_t, double>> best(int64_t image, int64_t count) const {
    const Numbers numbers = output(0);
    const auto classes = static_cast<size_t>(numbers.type.shape[1]);
    return best_classes(
        std::span(numbers.data).subspan(classes * static_cast<size_t>(image), classes), count,
        kind_);
  }
  Numbers output(size_t i) const {
    return read_numbers(session_.plan().output_types()[i], {nullptr, spans_[i]});
  }
  void keep(OutputFile& file, int64_t images) const {
    const Plan& plan = session_.plan();
    for (size_t i = 0; i < spans_.size(); ++i)
      file.add(plan.output_names()[i], plan.output_types()[i], spans_[i], images);
  }
  const Plan& plan() const { return session_.plan(); }

 private:
  Graph graph_;
  Session session_;
  int64_t batch_;
  std::shared_ptr<std::byte> input_;
  std::vector<std::shared_ptr<std::byte>> memory_;
  std::vector<void*> outputs_;
  std::vector<std::span<const std::byte>> spans_;
  bool scores_ = false;
  ScoreKind kind_ = ScoreKind::logits;
};

Json class_to_json(const std::pair<int64_t, double>& entry,
                   const std::vector<std::string>& labels) {
  const auto i = static_cast<size_t>(entry.first);
  return {{"index", entry.first},
          {"class", i < labels.size() ? labels[i] : std::to_string(entry.first)},
          {"probability", entry.second}};
}

// Of one image where axis 0 counts them.
Json outputs_json(const ImageRunner& runner, int64_t image) {
  Json outputs = Json::array();
  for (size_t i = 0; i < runner.plan().output_names().size(); ++i) {
    Numbers numbers = runner.output(i);
    if (!numbers.type.shape.empty() && numbers.type.shape[0] == runner.batch()) {
      const auto row = static_cast<ptrdiff_t>(numbers.data.size()) / runner.batch();
      const auto begin = numbers.data.begin() + row * image;
      numbers.data = {begin, begin + row};
      numbers.type.shape[0] = 1;
    }
    Json output{{"name", runner.plan().output_names()[i]}};
    output.update(summary_json(numbers));
    outputs.push_back(std::move(output));
  }
  return outputs;
}

}  // namespace

Json run_images(const RunArguments& a, ModelFile file, const RunOptions& options, RunTimes& times) {
  const ImagePreprocessing images = preparation(file, options.images);
  double begin = run_clock();
  if (file.kind != ModelKind::plan) optimise(file.graph);
  const std::vector<Shape> shapes{{images_at_once(a, file.graph),
                                   static_cast<int64_t>(images.mean.size()), images.height,
                                   images.width}};
  Graph graph =
      shapes[0][0] == batch_of(file.graph) ? file.graph : with_batch(file.graph, shapes[0][0]);
  ImageRunner runner(with_sizes(graph, sizes_for(graph, shapes)), options.plan);
  times.compile = run_clock() - begin;
  BatchReader reader(images, runner.plan().threads());

  Json results = Json::array();
  OutputFile kept;
  const auto count = static_cast<int64_t>(a.inputs.size());
  begin = run_clock();
  ProgressLine progress(count, "img");
  for (int64_t first = 0; first < count; first += runner.batch()) {
    const int64_t filled = std::min(runner.batch(), count - first);
    reader.read(
        std::span(a.inputs).subspan(static_cast<size_t>(first), static_cast<size_t>(filled)),
        [&](size_t i) { return runner.input(static_cast<int64_t>(i)); });
    times.runs.push_back(runner.run());
    if (!a.out.empty()) runner.keep(kept, filled);
    for (int64_t i = 0; i < filled; ++i) {
      Json result{{"image", a.inputs[static_cast<size_t>(first + i)]}};
      if (runner.has_scores()) {
        result["top"] = Json::array();
        for (const auto& entry : runner.best(i, a.top_k))
          result["top"].push_back(class_to_json(entry, file.info.labels));
      } else {
        result["outputs"] = outputs_json(runner, i);
      }
      results.push_back(std::move(result));
    }
    progress.show(first + filled);
  }
  times.all = run_clock() - begin;
  times.items = count;
  if (!a.out.empty()) kept.write(a.out);
  return results;
}

}  // namespace residua::app
