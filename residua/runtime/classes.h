#pragma once
// The classes that a network's output speaks for.

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "residua/graph/graph.h"

namespace residua {

// What the numbers of an output are, from the node that writes it.
enum class ScoreKind { logits, probabilities, log_probabilities };
ScoreKind score_kind(const Graph& graph, ValueId output);

// Whether an output has one row of scores for each of the batch: [N, classes] or [N, classes, 1, 1]
// of real numbers, at least two classes.
bool is_scores(const TensorType& type, int64_t batch);

// Class and probability of the `k` largest scores, best first; of equal ones the lower class first,
// NaN last.
std::vector<std::pair<int64_t, double>> best_classes(std::span<const double> scores, int64_t k,
                                                     ScoreKind kind);

}  // namespace residua
