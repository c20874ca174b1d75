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
#include <memory>
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
  // Sums over ranks that are still under way, by the name of the tensor in `memo`; kBranch is the
  // output of the last branch.
  std::map<std::string, std::shared_ptr<Arrival>> arrivals = {};
  static constexpr const char* kBranch = "branch";

  at::Tensor& x() { return streams.front(); }
  const at::Tensor& x() const { return streams.front(); }
  // Waits for the sum of this name where one is under way.
  void wait(const std::string& name);

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
  bool key = true;               // an attention has its own key projection
  bool value = true;             // and its own value projection
};

// How a connection reads and merges, in words and formulas for people; drawn in the gallery.
struct StreamDiagram {
  std::vector<std::string> streams = {"x"};  // that run side by side
  std::string begin = "x0";
  std::string read = "x";          // what the branch f gets
  std::string merge = "x + f(x)";  // what the streams become
  std::string finish = "x";
};

// The steps at whose attention a site finds its keys and values when it decodes with a cache.
struct CachedAt {
  int64_t keys = 0, values = 0;
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

struct StreamParts;  // stream.h

// Another output of a pass that is to learn what the last one learns, and the weight of its loss.
struct StreamExit {
  at::Tensor output;
  double weight = 1;
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

  // --- where the branches' weights lie on several ranks (Carrier::collective)
  // Whether merges take this rank's part of a branch's output; otherwise the carrier sums first.
  virtual bool sums_ranks() const { return false; }
  // Whether merges take outputs whose sum is still under way (State::arrivals).
  virtual bool takes_late_outputs() const { return false; }

  // --- in a pass
  virtual State begin(const at::Tensor& x0);
  virtual Read read(State& state, const Site& site);
  // `y` is undefined where the read said not to run.
  virtual void merge(State& state, const Site& site, const at::Tensor& y, const Read& read) = 0;
  // Before the merge of a site that has a shortcut, as where the stream's shape changes; the
  // default puts the shortcut of every stream in its place.
  virtual void resize(State& state, const Site& site, const Shortcut& shortcut);
  // The network's output; also of a stream in mid-pass, whose state it leaves as it is.
  virtual at::Tensor finish(const State& state);
  virtual PlainMerge plain_merge(const Site&) const { return PlainMerge::no; }
  // Whether merge applies the activation of post-activation networks itself; otherwise the carrier
  // applies it to every stream after the merge.
  virtual bool activates() const { return false; }

  // A connection that evaluates the branches in an order of its own, as adaptive solvers do; then
  // read and merge are not called, and telling parts.visit is its own affair.
  virtual bool drives() const { return false; }
  virtual void drive(State& state, const StreamParts& parts);

  // Whether reads and merges may run a second time, during backward, as memory plans need it: all
  // that they remember lies in the state.
  virtual bool runs_again() const { return !drives(); }

  // --- attention ([N, heads, T, d] of the tokens of this pass)
  // The keys (positions applied) and values that a site attends with, of those it computed
  // (undefined without own projection). They must depend on the same token alone, since decoding
  // with a cache keeps them.
  virtual at::Tensor keys(State& state, const Site& site, const at::Tensor& k);
  virtual at::Tensor values(State& state, const Site& site, const at::Tensor& v);
  // Where decoding keeps them: by default at the site itself; elsewhere they are kept once only.
  virtual CachedAt cached_at(const Site& site) const { return {site.step, site.step}; }
  // The attention's output, of what it computed; `v` are the values of the tokens of this pass.
  virtual at::Tensor attended(State& state, const Site& site, const at::Tensor& u,
                              const at::Tensor& v);

  // Whether each pass in evaluation mode runs every site of the schedule on all rows, so that
  // tokens may be decoded one after the other.
  virtual bool decodes() const { return !drives(); }

  // --- predictions in mid-pass
  // Set by carriers that can read a stream out: what the network would put out if it ended there.
  using Readout = std::function<at::Tensor(const at::Tensor& stream)>;
  void set_readout(Readout readout) { readout_ = std::move(readout); }

  // --- after a pass
  // A term to add to the mean loss; undefined: none. `sample_losses` [N] carry no gradient.
  virtual at::Tensor penalty(const State& state, const at::Tensor& sample_losses);
  // Numbers of the last pass to report beside the loss.
  virtual NamedValues metrics(const State& state);

  virtual std::vector<StreamExit> exits(const State&) const { return {}; }

  // Whether the last state is asked for exits, penalty and metrics.
  virtual bool has_extras() const { return false; }

  // --- for people
  virtual StreamDiagram describe() const { return {}; }

 protected:
  // Throws ErrorKind::unsupported where the carrier reads nothing out in mid-pass.
  at::Tensor readout(const at::Tensor& stream) const;
  // Throws ErrorKind::unsupported: "[connection] NAME does not ride a CARRIER: REASON".
  [[noreturn]] static void refuse(const std::string& name, const Carrier& carrier,
                                  const std::string& reason);

 private:
  Readout readout_;
};

// Every connection by name. A connection that cannot ride the carrier throws
// ErrorKind::unsupported with the reason when it is created.
Registry<Connection, Carrier, Random>& connections();

}  // namespace residua
