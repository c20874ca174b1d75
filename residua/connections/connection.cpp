#include "residua/connections/connection.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include "residua/core/error.h"

namespace residua {

std::vector<Site> numbered(std::vector<Site> sites) {
  for (size_t i = 0; i < sites.size(); ++i) {
    sites[i].step = static_cast<int64_t>(i);
    sites[i].depth = static_cast<int64_t>(sites.size());
  }
  return sites;
}

std::vector<at::Tensor> State::flatten() const {
  std::vector<at::Tensor> tensors = streams;
  for (const auto& [name, tensor] : memo) tensors.push_back(tensor);
  for (const auto& [name, tensor] : losses) tensors.push_back(tensor);
  return tensors;
}

void State::wait(const std::string& name) {
  const auto arrival = arrivals.find(name);
  if (arrival == arrivals.end()) return;
  arrival->second->wait();
  arrivals.erase(arrival);
}

State State::unflatten(const std::vector<at::Tensor>& tensors) const {
  if (tensors.size() != streams.size() + memo.size() + losses.size())
    throw Error(ErrorKind::internal, {.where = "state", .rule = "has another number of tensors"});
  State state = *this;
  auto next = tensors.begin();
  for (at::Tensor& stream : state.streams) stream = *next++;
  for (auto& [name, tensor] : state.memo) tensor = *next++;
  for (auto& [name, tensor] : state.losses) tensor = *next++;
  return state;
}

std::vector<Site> Connection::schedule(const std::vector<Site>& sites) const { return sites; }

void Connection::init(const Site&, torch::nn::Module&, const Random&) {}

State Connection::begin(const at::Tensor& x0) { return {.streams = {x0}}; }

Read Connection::read(State& state, const Site&) { return {.input = state.x()}; }

void Connection::resize(State& state, const Site&, const Shortcut& shortcut) {
  for (at::Tensor& stream : state.streams) stream = shortcut(stream);
}

at::Tensor Connection::finish(const State& state) { return state.x(); }

void Connection::drive(State&, const StreamParts&) {
  throw Error(ErrorKind::internal, {.where = name(), .rule = "does not drive its branches"});
}

at::Tensor Connection::keys(State&, const Site&, const at::Tensor& k) { return k; }

at::Tensor Connection::values(State&, const Site&, const at::Tensor& v) { return v; }

at::Tensor Connection::attended(State&, const Site&, const at::Tensor& u, const at::Tensor&) {
  return u;
}

at::Tensor Connection::readout(const at::Tensor& stream) const {
  if (!readout_)
    throw Error(ErrorKind::unsupported,
                {.where = "connection",
                 .rule = "wants outputs from the middle of the network, which this model has not"});
  return readout_(stream);
}

at::Tensor Connection::penalty(const State&, const at::Tensor&) { return {}; }

NamedValues Connection::metrics(const State&) { return {}; }

void Connection::refuse(const std::string& name, const Carrier& carrier,
                        const std::string& reason) {
  const std::string kind{EnumNames<CarrierKind>::names[static_cast<size_t>(carrier.kind)]};
  throw Error(ErrorKind::unsupported,
              {.where = "connection",
               .rule = fmt::format("{} does not ride a {}: {}", name, kind, reason)});
}

}  // namespace residua
