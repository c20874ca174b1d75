#include "residua/recipes/experiment.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>

#include "residua/connections/connection.h"
#include "residua/connections/memory_plan.h"
#include "residua/core/error.h"
#include "residua/models/stream_model.h"
#include "residua/optim/parameter_groups.h"
#include "residua/optim/trainable.h"
#include "residua/recipes/image_parts.h"
#include "residua/recipes/text_parts.h"
#include "residua/train/device.h"

namespace residua {

namespace {

// Options that are written among those of a component but belong to something beside it.
struct DataExtras {
  bool skip_corrupt = false;
  void fields(Fields& f) {
    f.add("skip_corrupt", skip_corrupt, "leave out images that cannot be read");
  }
};

template <HasFields Extras>
Component take_extras(const Component& component, Extras& extras, const std::string& where) {
  Json own = component.options_or_empty(), taken = Json::object();
  for (const std::string& key : dotted_keys(describe(extras))) {
    if (!own.contains(key)) continue;
    taken[key] = own[key];
    own.erase(key);
  }
  assign(extras, taken, where);
  return own.empty() ? Component(component.name) : Component(component.name, std::move(own));
}

// Resolves the component in its registry and puts the extras, complete, back among its options.
template <class Registry, HasFields Extras>
Component resolve_with(const Registry& registry, const Component& component, Extras extras,
                       const std::string& where) {
  const Component own = take_extras(component, extras, where);
  Json options = registry.find(own.name).resolve(own.options_or_empty(), where);
  options.update(options_to_json(extras));
  return {own.name, std::move(options)};
}

struct NoExtras {
  void fields(Fields&) {}
};

std::shared_ptr<Optimizer> make_optimizer(const TrainOptions& options, const Model& model) {
  ParameterRules rules;
  const Component own = take_extras(options.optim, rules, "optim");
  return optimizers().create(own, parameter_groups(model, rules));
}

// Names and options of the connection of a model that has one.
void check_connection(const Json& model) {
  if (!model.contains("connection")) return;
  struct {
    Component connection;
    void fields(Fields& f) { f.add("connection", connection, ""); }
  } part;
  assign(part, {{"connection", model.at("connection")}}, "model");
  connections()
      .find(part.connection.name)
      .resolve(part.connection.options_or_empty(), "model.connection");
}

void plan_memory(Model& model, const Component& plan) {
  if (plan.name == "none") return;
  auto* stream = dynamic_cast<StreamModel*>(&model);
  if (!stream)
    throw Error(ErrorKind::unsupported,
                {.where = "memory",
                 .rule = "plans the residual stream of a model, and this one has none",
                 .hint = "memory=none"});
  check_runs_again(stream->connection());
  stream->use_memory(std::make_shared<StreamMemory>(memory_planners().create(plan)));
}

}  // namespace

TrainOptions resolve_options(const Json& configuration) {
  TrainOptions options;
  assign(options, configuration);
  options.data = resolve_with(datasets(), options.data, DataExtras{}, "data");
  options.optim = resolve_with(optimizers(), options.optim, ParameterRules{}, "optim");
  options.schedule = resolve_with(schedules(), options.schedule, NoExtras{}, "schedule");
  options.memory = resolve_with(memory_planners(), options.memory, NoExtras{}, "memory");
  // Spelled out when the data are known.
  const Component model = resolve_with(models(), options.model, NoExtras{}, "model");
  check_connection(model.options_or_empty());
  check_amp(options.loop.amp, parse_device(options.loop.device));
  return options;
}

std::shared_ptr<DataSplits> open_data(const Component& data) {
  DataExtras extras;
  return datasets().create(take_extras(data, extras, "data"));
}

bool skips_corrupt(const Component& data) {
  DataExtras extras;
  take_extras(data, extras, "data");
  return extras.skip_corrupt;
}

std::shared_ptr<Model> make_model(const Component& model, int64_t seed) {
  return models().create(model, Random(static_cast<uint64_t>(seed)).split("model"));
}

Network model_network(const std::shared_ptr<Model>& model) {
  Network network = make_network(model);
  network.extras = [raw = model.get()](const at::Tensor& sample_losses, Metrics& metrics) {
    const Extras extras = raw->extras(sample_losses);
    for (const auto& [name, value] : extras.values) metrics.push_back({name, value});
    return extras.penalty;
  };
  network.exits = [raw = model.get()] {
    std::vector<std::pair<at::Tensor, double>> exits;
    for (const Exit& exit : raw->exits()) exits.emplace_back(exit.output, exit.weight);
    return exits;
  };
  return network;
}

DataParts data_parts(const TrainOptions& options, const DataSplits& data) {
  return data.text ? text_parts(options, data.text) : image_parts(options, data);
}

Experiment make_experiment(TrainOptions options) {
  Experiment e;
  e.data = open_data(options.data);
  DataParts parts = data_parts(options, *e.data);
  options.model = std::move(parts.model);
  e.options = std::move(options);
  e.model = make_model(e.options.model, e.options.loop.seed);
  if (!e.data->text && e.model->info().takes_tokens())
    throw Error(ErrorKind::invalid_argument, {.where = "model",
                                              .rule = "reads text, and the data are images",
                                              .hint = "data=shakespeare and data=text are text"});
  plan_memory(*e.model, e.options.memory);
  place_module(*e.model, parse_device(e.options.loop.device), e.options.loop.channels_last);
  train_only(*e.model, e.options.trainable);
  e.task = std::move(parts.task);
  e.optimizer = make_optimizer(e.options, *e.model);
  e.schedule = schedules().create(e.options.schedule);
  e.train = std::move(parts.train);
  e.test = std::move(parts.test);
  e.review = e.data->text ? text_review(e.model, e.data->text) : image_review(*e.data);
  e.data_info = std::move(parts.info);
  e.one_input = std::move(parts.one_input);
  return e;
}

TrainerParts trainer_parts(const Experiment& e) {
  return {.network = model_network(e.model),
          .task = e.task,
          .optimizer = e.optimizer,
          .schedule = e.schedule,
          .train = e.train,
          .test = e.test,
          .unclipped = {e.model->info().classifier + ".*"},
          .review = e.review.review,
          .configuration = e.configuration(),
          .data = e.data_info};
}

}  // namespace residua
