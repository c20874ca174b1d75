#include "residua/train/tasks/classification_review.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "residua/data/batch_source.h"

namespace residua {

std::vector<std::pair<int64_t, double>> top_classes(const at::Tensor& logits, int64_t k) {
  const at::Tensor p = torch::softmax(logits.to(at::kDouble), 0).contiguous();
  const double* values = p.data_ptr<double>();
  std::vector<int64_t> order(static_cast<size_t>(p.numel()));
  std::iota(order.begin(), order.end(), int64_t{0});
  const auto count = std::min<size_t>(order.size(), static_cast<size_t>(k));
  // NaN counts as the least, so that the order is one even of spoiled logits.
  const auto key = [&](int64_t c) { return std::isnan(values[c]) ? -1.0 : values[c]; };
  std::partial_sort(
      order.begin(), order.begin() + static_cast<int64_t>(count), order.end(),
      [&](int64_t a, int64_t b) { return key(a) != key(b) ? key(a) > key(b) : a < b; });
  std::vector<std::pair<int64_t, double>> top;
  for (size_t i = 0; i < count; ++i) top.emplace_back(order[i], values[order[i]]);
  return top;
}

ClassificationReview::ClassificationReview(int64_t classes, int64_t images, int64_t shown)
    : classes_(classes),
      stride_(std::max<int64_t>(1, images / std::max<int64_t>(1, shown))),
      shown_(static_cast<size_t>(shown)),
      current_{ConfusionMatrix(classes), {}, {}} {}

void ClassificationReview::begin() { current_ = {ConfusionMatrix(classes_), {}, {}}; }

void ClassificationReview::add(const Batch& batch, const StepResult& result) {
  const at::Tensor logits = result.output.to(at::kCPU);
  const at::Tensor label = batch.label.to(at::kCPU);
  for (int64_t i = 0; i < batch.size(); ++i) {
    Prediction one{batch.indices[static_cast<size_t>(i)], label[i].item<int64_t>(),
                   top_classes(logits[i], 5)};
    current_.confusion.add(one.label, one.predicted());
    if (one.index % stride_ == stride_ / 2 && current_.samples.size() < shown_)
      current_.samples.push_back(one);
    if (one.predicted() != one.label) add_mistake(std::move(one));
  }
}

void ClassificationReview::add_mistake(Prediction prediction) {
  auto& list = current_.mistakes;
  const auto surer = [](const Prediction& a, const Prediction& b) {
    return a.top[0].second > b.top[0].second;
  };
  list.insert(std::upper_bound(list.begin(), list.end(), prediction, surer), std::move(prediction));
  if (list.size() > shown_) list.pop_back();
}

void ClassificationReview::end() { findings_ = current_; }

}  // namespace residua
