#pragma once
// How a residual stream carries what the branches of a network compute.
//
//   begin(x0) -> State; at each site: read(State) -> input of the branch; merge(State, y);
//   finish(State)
//
// The residual network of He et al. reads x and merges x <- x + y. A connection overrides what it
// does otherwise:
//
//   class Scaled final : public Connection {
//     void merge(State& state, const Site&, const at::Tensor& y, const Read&) override {
//       state.x() = state.x() + 0.1 * y;
//     }
//   };
//
// A carrier (CIFAR ResNet, ViT, GPT, MLP, ...) takes any connection that can ride it by one option,
// `connection={name="hyper", streams=4}`. A connection's parameters lie at `connection.{branch}...`
// of the carrier.

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "residua/connections/site.h"
#include "residua/core/random.h"
#include "residua/core/registry.h"

namespace residua {

using NamedValues = std::vector<std::pair<std::string, double>>;

// All that a stream remembers between sites; a plain value, so that it can be kept, recomputed and
// cut into pieces.
struct State {
  std::vector<at::Tensor> streams = {};
  std::map<std::string, at::Tensor> memo = {};    // by name, for branches and connections
  std::map<std::string, at::Tensor> losses = {};  // scalars to add to the loss

  at::Tensor& x() { return streams.front(); }
  const at::Tensor& x() const { return streams.front(); }

  // Every tensor, in an order that depends on the names alone.
  std::vector<at::Tensor> flatten() const;
  // The same state with other tensors; as many as flatten() gave.
  State unflatten(const std::vector<at::Tensor>& tensors) const;
};

// What a branch is to compute on.
struct Read {
  at::Tensor input = {};
  bool run = true;       // false: the branch is not executed and merge gets an undefined tensor
  at::Tensor rows = {};  // int64 [R]: `input` holds these of the stream's rows (dimension 0) only,
                         // and so does the branch's output; undefined: all
};

// What a branch may know beside its input.
struct Context {
  const Site& site;
  State& state;  // `memo` is shared by all branches of the pass
};

// What a merge does when it can be computed together with the branch's last layer.
enum class PlainMerge {
  no,
  sum,      // reads x, merges S(x) + y
  replace,  // reads x, merges y: a plain network
};

// How a carrier is to build a branch for this connection.
struct BranchStyle {
  bool norm = true;              // normalisation layers
  bool leading = true;           // a normalisation or activation before the first weights; false:
                                 // the connection's read has done it
  bool scalars = false;          // a learned scalar bias before every weight layer and activation,
                                 // a scalar multiplier after the last (Fixup)
  bool weight_standard = false;  // weights standardised and scaled (NF-ResNets)
  double input_scale = 1;        // multiplies what the first weights see
  bool value = true;             // an attention has its own value projection
};

// How a carrier is to build what lies outside of branches: its stem and its head.
struct EndStyle {
  bool norm = true;              // normalisation layers
  bool scalars = false;          // a learned scalar bias before the stem's activation and before
                                 // the classifier
  bool weight_standard = false;  // the stem's weights standardised and scaled
  bool zero_classifier = false;  // the classifier begins at zero
};

// What branches implement whose weights connections may draw anew.
class BranchWeights {
 public:
  // Weights of the convolutions and linear maps between the branch's input and its output, in this
  // order; of layers side by side only those whose output is carried on (values, not keys).
  virtual std::vector<at::Tensor> branch_weights() const = 0;

 protected:
  ~BranchWeights() = default;
};

class Connection : public torch::nn::Module {
 public:
  using Shortcut = std::function<at::Tensor(const at::Tensor& x)>;
  using Branch = std::function<at::Tensor(const Site&, const at::Tensor& input, State& state)>;

  // --- while the carrier is built
  // The sites of one pass, in order of execution; the default is the carrier's own order.
  virtual std::vector<Site> schedule(const std::vector<Site>& sites) const;
  virtual BranchStyle style(const Site&) const { return {}; }
  virtual EndStyle ends() const { return {}; }
  // Whether the carrier needs shortcuts where the shape of the stream changes.
  virtual bool has_shortcut() const { return true; }
  // Called for each branch of the carrier when it has been built with its initial weights.
  virtual void init(const Site&, torch::nn::Module& branch, const Random& random);

  // Variance of the stream after a site of a fresh network whose branches keep the variance of
  // their input, where the stream begins with variance 1; 0: not known.
  virtual double expected_variance(const Site&) const { return 0; }

  // --- in a pass
  virtual State begin(const at::Tensor& x0);
  virtual Read read(State& state, const Site& site);
  // `y` is undefined where the read said not to run.
  virtual void merge(State& state, const Site& site, const at::Tensor& y, const Read& read) = 0;
  // Before the merge of a site that changes the stream's shape; the default puts the shortcut of
  // every stream in its place.
  virtual void resize(State& state, const Site& site, const Shortcut& shortcut);
  // The network's output; also of a stream in mid-pass, whose state it leaves as it is.
  virtual at::Tensor finish(const State& state);
  virtual PlainMerge plain_merge(const Site&) const { return PlainMerge::no; }

  // A connection that evaluates the branches in an order of its own, as adaptive solvers do; then
  // read and merge are not called.
  virtual bool drives() const { return false; }
  virtual void drive(State& state, const std::vector<Site>& sites, const Branch& branch);

  // --- attention (x: [N, heads, T, d])
  // The values that a site attends with, of those it computed (undefined without own projection).
  virtual at::Tensor values(State& state, const Site& site, const at::Tensor& v);
  // The attention's output, of what it computed with `v`.
  virtual at::Tensor attended(State& state, const Site& site, const at::Tensor& u,
                              const at::Tensor& v);

  // --- after a pass
  // A term to add to the mean loss; undefined: none. `sample_losses` [N] carry no gradient.
  virtual at::Tensor penalty(const State& state, const at::Tensor& sample_losses);
  // Numbers of the last pass to report beside the loss.
  virtual NamedValues metrics(const State& state);

  // Whether the last state is asked for penalty and metrics.
  virtual bool has_extras() const { return false; }

 protected:
  // Throws ErrorKind::unsupported: "[connection] NAME does not ride a CARRIER: REASON".
  [[noreturn]] static void refuse(const std::string& name, const Carrier& carrier,
                                  const std::string& reason);
};

// Every connection by name. A connection that cannot ride the carrier throws
// ErrorKind::unsupported with the reason when it is created.
Registry<Connection, Carrier, Random>& connections();

}  // namespace residua
