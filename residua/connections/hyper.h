#pragma once
// "Hyper-Connections" (Zhu et al. 2024, arXiv:2409.19606): n copies of the residual stream, of
// which every branch reads a learned mixture, and which exchange what they hold at every branch.
// The connection matrix of a branch is HC = [[0, B], [A_m, A_r]]:
//
//   h0 = A_m^T H,    H <- A_r^T H + B^T f(h0)
//
// with the same H in both. Static entries are learned numbers; dynamic ones add s tanh(norm(H) W).
// At the start every branch reads one stream and writes to all, which is the pre-norm residual
// network but for the factor n of the last sum.

#include <array>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "residua/connections/connection.h"
#include "residua/nn/layer.h"
#include "residua/nn/layer_norm.h"

namespace residua {

enum class HyperNorm {
  layer,  // normalisation with mean and bias
  rms,    // x sqrt(d) / |x| (1 + gamma)
};
template <>
struct EnumNames<HyperNorm> {
  static constexpr std::array names{"layer", "rms"};
};

// What of the matrix is learned; the rest keeps its initial value.
enum class HyperLearn { all, width, depth };
template <>
struct EnumNames<HyperLearn> {
  static constexpr std::array names{"all", "width", "depth"};
};

// The static matrices that a network begins with.
enum class HyperPreset {
  sequential,  // branch t reads stream t mod n and all streams receive all: the residual network
  parallel,    // of two branches both read the same x; needs two streams
  mixture,     // reads the mean of the streams, which move half-way to their mean
};
template <>
struct EnumNames<HyperPreset> {
  static constexpr std::array names{"sequential", "parallel", "mixture"};
};

struct HyperOptions {
  int64_t streams = 4;
  bool dynamic = true;
  bool tanh = true;
  double scale = 0.01;
  HyperNorm norm = HyperNorm::layer;
  HyperLearn learn = HyperLearn::all;
  HyperPreset preset = HyperPreset::sequential;
  bool out_std = false;
  bool one_pass = true;
  void fields(Fields& f);
};

// alpha [..., n, 1 + n] is [A_m | A_r], beta [..., n] is B; the leading dimensions are those of the
// tokens, or absent for what holds for all tokens.
struct HyperCoefficients {
  at::Tensor alpha, beta;
};

// The matrix of one branch. Parameters: static_alpha [n, 1 + n], static_beta [n], and dynamic ones:
// dynamic_alpha_fn [d, 1 + n], dynamic_alpha_scale, dynamic_beta_fn [d], dynamic_beta_scale,
// norm.{weight, bias} or norm.gamma. Static entries do not decay, dynamic ones do.
class HyperSite final : public torch::nn::Module, public ChoosesDecay {
 public:
  HyperSite(const HyperOptions& options, int64_t index, int64_t width);

  HyperCoefficients coefficients(const at::Tensor& streams) const;  // [..., n, d]
  HyperCoefficients fixed() const { return {static_alpha, static_beta}; }
  bool decays(const std::string& parameter, bool usual) const override;

  at::Tensor static_alpha, static_beta;
  at::Tensor dynamic_alpha_fn, dynamic_alpha_scale, dynamic_beta_fn, dynamic_beta_scale;

 private:
  at::Tensor normalized(const at::Tensor& streams) const;

  bool tanh_;
  std::shared_ptr<LayerNorm> norm_;
  at::Tensor gamma_;
};

// State: one tensor [..., n, d], the channels of maps last.
class HyperConnection final : public Connection {
 public:
  HyperConnection(const HyperOptions& options, const Carrier& carrier);

  void init(const Site& site, torch::nn::Module& branch, const Random& random) override;
  State begin(const at::Tensor& x0) override;
  Read read(State& state, const Site& site) override;
  void resize(State& state, const Site& site, const Shortcut& shortcut) override;
  void merge(State& state, const Site& site, const at::Tensor& y, const Read& read) override;
  at::Tensor finish(const State& state) override;
  StreamDiagram describe() const override;

  const std::vector<std::shared_ptr<HyperSite>>& sites() const { return sites_; }
  // Told the coefficients of every branch, until it is set to nothing.
  using Observe = std::function<void(const Site&, const HyperCoefficients&)>;
  void observe_coefficients(Observe observe) { observe_ = std::move(observe); }

 private:
  HyperOptions options_;
  std::vector<std::shared_ptr<HyperSite>> sites_;
  bool maps_;  // the carrier's streams are [N, C, H, W]
  Observe observe_;
};

// How much of the network's input (column 0) and of each branch's output (column s + 1) is in what
// branch t reads (row t) and in the network's output (last row): float64 [T + 1, T + 1], for the
// coefficients, without token dimensions, of T branches in order of execution.
at::Tensor unroll_hyper(const std::vector<HyperCoefficients>& branches);

// hyper
void add_hyper_connections(Registry<Connection, Carrier, Random>& connections);

}  // namespace residua
