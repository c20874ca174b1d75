#pragma once
// Parts of linear layers that lie on one of several ranks (Shoeybi et al. 2019, arXiv:1909.08053):
// a column-parallel layer computes some of the outputs from the whole input, a row-parallel layer
// takes some of the inputs and gives a summand of the whole output.

#include <memory>
#include <utility>
#include <vector>

#include "residua/nn/linear.h"

namespace residua {

// Half-open ranges [begin, end).
using IndexRanges = std::vector<std::pair<int64_t, int64_t>>;

// The rank's share of `size` things. Throws ErrorKind::invalid_argument when they do not divide.
std::pair<int64_t, int64_t> share_of(int64_t size, int64_t rank, int64_t world);

// The outputs of these ranges, one after the other.
std::shared_ptr<Linear> column_shard(const Linear& whole, const IndexRanges& outputs);

// The inputs of this range; rank 0 adds the bias.
std::shared_ptr<Linear> row_shard(const Linear& whole, std::pair<int64_t, int64_t> inputs,
                                  int64_t rank);

}  // namespace residua
