#include "residua/nn/shard.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include "residua/core/error.h"
#include "residua/nn/init.h"

namespace residua {

namespace {

std::shared_ptr<Linear> linear_of(const at::Tensor& weight, const at::Tensor& bias) {
  const SkipInitialization weights_are_given;
  auto part = linear(weight.size(1), weight.size(0), {.bias = bias.defined()}, Random(0));
  part->weight.set_data(weight.detach().clone());
  if (bias.defined()) part->bias.set_data(bias.detach().clone());
  return part;
}

at::Tensor rows_of(const at::Tensor& x, const IndexRanges& ranges) {
  if (!x.defined()) return x;
  std::vector<at::Tensor> rows;
  for (const auto& [begin, end] : ranges) rows.push_back(x.slice(0, begin, end));
  return at::cat(rows);
}

}  // namespace

std::pair<int64_t, int64_t> share_of(int64_t size, int64_t rank, int64_t world) {
  if (size % world != 0)
    throw Error(ErrorKind::invalid_argument,
                {.where = "ranks",
                 .rule = "must divide heads, heads of keys and the MLP's inner width",
                 .expected = fmt::format("a divisor of {}", size),
                 .received = fmt::format("{} ranks", world)});
  return {rank * (size / world), (rank + 1) * (size / world)};
}

std::shared_ptr<Linear> column_shard(const Linear& whole, const IndexRanges& outputs) {
  return linear_of(rows_of(whole.weight, outputs), rows_of(whole.bias, outputs));
}

std::shared_ptr<Linear> row_shard(const Linear& whole, std::pair<int64_t, int64_t> inputs,
                                  int64_t rank) {
  return linear_of(whole.weight.slice(1, inputs.first, inputs.second).contiguous(),
                   rank == 0 ? whole.bias : at::Tensor());
}

}  // namespace residua
