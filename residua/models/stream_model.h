#pragma once
// A model whose blocks write to a residual stream that any connection may carry.

#include <memory>
#include <set>
#include <vector>

#include "residua/connections/checkpoint.h"
#include "residua/connections/stream.h"
#include "residua/models/model.h"

namespace residua {

class StreamModel : public Model {
 public:
  Connection& connection() const { return *connection_; }
  const std::vector<Site>& schedule() const { return schedule_; }
  const Carrier& carrier() const { return carrier_; }

  Extras extras(const at::Tensor& sample_losses) override;
  std::vector<Exit> exits() override;

  // Which activations training keeps for backward; null: all.
  void use_memory(std::shared_ptr<StreamMemory> memory) { memory_ = std::move(memory); }
  const StreamMemory* memory() const { return memory_.get(); }

  // Told the state after each site of every pass, until it is set to nothing.
  using Visit = std::function<void(const Site&, const State&)>;
  void visit_sites(Visit visit) { visit_ = std::move(visit); }
  // Told what each branch of every pass read and gave, until it is set to nothing.
  using Watch = std::function<void(const Site&, const Read&, const at::Tensor& y)>;
  void watch_branches(Watch watch) { watch_ = std::move(watch); }

  // The branches of which every pass sees zeros, as if they had been removed.
  void silence(std::set<int64_t> branches) { silent_ = std::move(branches); }

 protected:
  // Creates the connection for this carrier and makes it the submodule "connection". Called before
  // the branches are built, which ask it for their style.
  void connect(const Component& connection, Carrier carrier, const Random& random);
  // Lets the connection see a branch that has been built.
  void built(int64_t branch, torch::nn::Module& module, const Random& random);
  // Whether the connection's schedule has this branch; others need not be built.
  bool runs(int64_t branch) const;
  const Site& site_of(int64_t branch) const { return carrier_.sites[static_cast<size_t>(branch)]; }
  // One pass; keeps its last state where it has losses or the connection has more to say.
  at::Tensor run(const at::Tensor& x0, StreamParts parts);

  std::shared_ptr<Connection> connection_;

 private:
  Carrier carrier_;
  std::vector<Site> schedule_;
  State last_;
  Visit visit_;
  std::set<int64_t> silent_;
  Watch watch_;
  std::shared_ptr<StreamMemory> memory_;
};

}  // namespace residua
