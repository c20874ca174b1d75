#include "residua/runtime/classes.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace residua {

ScoreKind score_kind(const Graph& graph, ValueId output) {
  for (auto node = graph.nodes.rbegin(); node != graph.nodes.rend(); ++node) {
    if (node->outputs.empty() || node->outputs[0] != output) continue;
    if (const auto* softmax = std::get_if<op::Softmax>(&node->operation))
      return softmax->log ? ScoreKind::log_probabilities : ScoreKind::probabilities;
    if (!std::holds_alternative<op::Reshape>(node->operation)) break;
    output = node->inputs[0];  // written before
  }
  return ScoreKind::logits;
}

bool is_scores(const TensorType& type, int64_t batch) {
  const Shape& shape = type.shape;
  return is_floating(type.dtype) && shape.size() >= 2 && shape[0] == batch && shape[1] >= 2 &&
         std::all_of(shape.begin() + 2, shape.end(), [](int64_t size) { return size == 1; });
}

std::vector<std::pair<int64_t, double>> best_classes(std::span<const double> scores, int64_t k,
                                                     ScoreKind kind) {
  std::vector<int64_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  const auto rank = [&](int64_t i) {
    const double score = scores[static_cast<size_t>(i)];
    return std::isnan(score) ? -INFINITY : score;
  };
  const auto count = std::min(static_cast<ptrdiff_t>(k), static_cast<ptrdiff_t>(order.size()));
  std::partial_sort(order.begin(), order.begin() + count, order.end(), [&](int64_t a, int64_t b) {
    return rank(a) != rank(b) ? rank(a) > rank(b) : a < b;
  });
  double largest = -INFINITY, sum = 0;
  for (const double score : scores) largest = std::max(largest, score);
  for (const double score : scores) sum += std::exp(score - largest);
  std::vector<std::pair<int64_t, double>> best;
  for (ptrdiff_t i = 0; i < count; ++i) {
    const int64_t label = order[static_cast<size_t>(i)];
    const double score = scores[static_cast<size_t>(label)];
    best.emplace_back(label, kind == ScoreKind::probabilities ? score
                             : kind == ScoreKind::log_probabilities
                                 ? std::exp(score)
                                 : std::exp(score - largest) / sum);
  }
  return best;
}

}  // namespace residua
