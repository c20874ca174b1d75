#include "residua/optim/optimizer.h"

#include <set>

#include "residua/core/error.h"
#include "residua/optim/adamw.h"
#include "residua/optim/sgd.h"

namespace residua {

Optimizer::Optimizer(std::vector<ParameterGroup> groups, double lr)
    : groups_(std::move(groups)), lr_(lr) {
  std::set<std::string> seen;
  for (const ParameterGroup& group : groups_) {
    if (group.names.size() != group.parameters.size())
      throw Error(ErrorKind::internal,
                  {.where = "optim", .rule = "a parameter group must name each of its parameters"});
    for (const std::string& name : group.names)
      if (!seen.insert(name).second)
        throw Error(ErrorKind::invalid_argument,
                    {.where = name, .rule = "is in more than one parameter group"});
  }
  if (seen.empty())
    throw Error(ErrorKind::invalid_argument, {.where = "optim",
                                              .rule = "there is no parameter to optimise",
                                              .hint = "every parameter of the model is frozen"});
}

void Optimizer::zero_grad() {
  for (ParameterGroup& group : groups_)
    for (at::Tensor& parameter : group.parameters) parameter.mutable_grad().reset();
}

Registry<Optimizer, std::vector<ParameterGroup>>& optimizers() {
  using Groups = std::vector<ParameterGroup>;
  static Registry<Optimizer, Groups> table = [] {
    Registry<Optimizer, Groups> t("optimizer");
    t.add<SgdOptions>(
        {.name = "sgd", .help = "stochastic gradient descent with momentum"}, {},
        [](const SgdOptions& o, Groups groups) { return make_sgd(std::move(groups), o); });
    t.add<AdamWOptions>(
        {.name = "adamw", .help = "Adam with decoupled weight decay"}, {},
        [](const AdamWOptions& o, Groups groups) { return make_adamw(std::move(groups), o); });
    return t;
  }();
  return table;
}

}  // namespace residua
