#include "residua/data/text/windows.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "residua/core/error.h"

namespace residua {

namespace {

void check_length(const std::vector<int32_t>& tokens, int64_t context, const std::string& part) {
  if (static_cast<int64_t>(tokens.size()) > context) return;
  throw Error(ErrorKind::invalid_argument,
              {.where = "data",
               .rule = "the " + part + " text is shorter than a window",
               .expected = fmt::format("at least {} tokens", context + 1),
               .received = std::to_string(tokens.size())});
}

Batch window_batch(const std::vector<int32_t>& tokens, std::vector<int64_t> starts, int64_t context,
                   int64_t number) {
  const auto rows = static_cast<int64_t>(starts.size());
  Batch batch;
  batch.input = at::empty({rows, context}, at::kLong);
  batch.target = at::empty({rows, context}, at::kLong);
  int64_t* input = batch.input.data_ptr<int64_t>();
  int64_t* target = batch.target.data_ptr<int64_t>();
  for (const int64_t start : starts) {
    const auto first = tokens.begin() + start;
    input = std::copy(first, first + context, input);
    target = std::copy(first + 1, first + 1 + context, target);
  }
  batch.label = batch.target;
  batch.indices = std::move(starts);
  batch.number = number;
  return batch;
}

}  // namespace

RandomWindows::RandomWindows(std::shared_ptr<const TextCorpus> corpus, const WindowOptions& options,
                             Random random)
    : corpus_(std::move(corpus)), options_(options), random_(random) {
  check_length(corpus_->train, options_.context, "training");
}

void RandomWindows::start(int64_t epoch, int64_t first_batch) {
  epoch_ = epoch;
  batch_ = first_batch;
}

std::optional<Batch> RandomWindows::next() {
  if (batch_ >= batches_per_epoch()) return std::nullopt;
  Random draws = random_.split("windows")
                     .split(static_cast<uint64_t>(epoch_))
                     .split(static_cast<uint64_t>(batch_));
  const int64_t places = static_cast<int64_t>(corpus_->train.size()) - options_.context;
  std::vector<int64_t> starts;
  for (int64_t i = 0; i < options_.batch_size; ++i) starts.push_back(draws.integer(0, places));
  return window_batch(corpus_->train, std::move(starts), options_.context, batch_++);
}

WindowsInOrder::WindowsInOrder(std::shared_ptr<const TextCorpus> corpus,
                               const WindowOptions& options)
    : corpus_(std::move(corpus)), options_(options) {
  check_length(corpus_->test, options_.context, "validation");
}

void WindowsInOrder::start(int64_t, int64_t first_batch) { batch_ = first_batch; }

int64_t WindowsInOrder::samples() const {
  return (static_cast<int64_t>(corpus_->test.size()) - 1) / options_.context;
}

int64_t WindowsInOrder::batches_per_epoch() const {
  return (samples() + options_.batch_size - 1) / options_.batch_size;
}

std::optional<Batch> WindowsInOrder::next() {
  if (batch_ >= batches_per_epoch()) return std::nullopt;
  const int64_t first = batch_ * options_.batch_size;
  const int64_t last = std::min(samples(), first + options_.batch_size);
  std::vector<int64_t> starts;
  for (int64_t i = first; i < last; ++i) starts.push_back(i * options_.context);
  return window_batch(corpus_->test, std::move(starts), options_.context, batch_++);
}

}  // namespace residua
