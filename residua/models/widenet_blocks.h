#pragma once
// The blocks of "Go Wider Instead of Deeper" (Xue et al. 2021, arXiv:2107.11817): all blocks share
// one attention and one mixture of experts, and each has its own two layer normalisations,
//
//   x <- x + MHA(LN_{i,1}(x));  x <- x + MoE(LN_{i,2}(x))
//
// so that a network becomes wide, by experts, instead of deep, by layers.

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "residua/connections/connection.h"
#include "residua/nn/attention.h"
#include "residua/nn/layer_norm.h"
#include "residua/nn/moe.h"

namespace residua {

enum class WideShare { both, attn, moe, none };
template <>
struct EnumNames<WideShare> {
  static constexpr std::array names{"both", "attn", "moe", "none"};
};

enum class WideNorms { individual, shared };
template <>
struct EnumNames<WideNorms> {
  static constexpr std::array names{"individual", "shared"};
};

struct WideBlocksOptions {
  int64_t dim = 64;
  int64_t depth = 6;
  int64_t heads = 4;
  double mlp_ratio = 4;
  int64_t experts = 4;
  int64_t top_k = 2;
  double capacity_factor = 1.2;
  double balance = 0.01;
  double z_loss = 0;
  bool act_after = true;
  WideShare share = WideShare::both;
  int64_t share_groups = 0;
  WideNorms norms = WideNorms::individual;
  Component connection = "identity";

  void fields(Fields& f);
};

// Parameters, of the module they are added to: blocks.{g}.attn.{qkv, proj}, blocks.{g}.moe.{router,
// experts}, where g is "shared" when one serves all blocks and else the number of the group; and
// norms.{i}.{0, 1}, or norms.shared.{0, 1}.
class WideBlocks final {
 public:
  WideBlocks(torch::nn::Module& root, const WideBlocksOptions& options, double stddev,
             const Random& random);

  // The branch of a site; a mixture adds its weighted losses to `state`. [N, T, dim]
  at::Tensor run(const Site& site, const at::Tensor& x, State& state, bool causal) const;

  // The module whose output is the stream after this block.
  std::string level_name(int64_t block) const;

  // Told where each mixture sends its tokens, until it is set to nothing.
  using VisitRoutes = std::function<void(const Site&, const MoeRoutes&)>;
  void visit_routes(VisitRoutes visit) { visit_ = std::move(visit); }

 private:
  size_t group_of(int64_t block, bool shared, size_t groups) const;
  const Attention& attention_of(int64_t block) const;
  const Moe& moe_of(int64_t block) const;

  WideBlocksOptions options_;
  std::vector<std::shared_ptr<Attention>> attentions_;
  std::vector<std::shared_ptr<Moe>> moes_;
  std::vector<std::array<std::shared_ptr<LayerNorm>, 2>> norms_;
  VisitRoutes visit_;
};

}  // namespace residua
