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

// Sets a model's option to the data's value; a value that was given must be that one.
void fit_option(Json& options, const Json& all, const std::string& key, int64_t value,
                const std::string& what) {
  if (!all.contains(key)) return;
  if (!options.contains(key)) {
    options[key] = value;
  } else if (options[key] != value) {
    throw Error(ErrorKind::invalid_argument, {.where = "model." + key,
                                              .rule = "does not fit the " + what + " of the data",
                                              .expected = std::to_string(value),
                                              .received = options[key].dump()});
  }
}

LoaderOptions loader_options(const TrainOptions& options) {
  return {.batch_size = options.batch_size,
          .workers = options.workers,
          .channels_last = options.loop.channels_last,
          .skip_corrupt = skips_corrupt(options.data)};
}

std::shared_ptr<Loader> make_train_loader(const TrainOptions& options,
                                          std::shared_ptr<const Dataset> train) {
  LoaderOptions settings = loader_options(options);
  settings.shuffle = true;
  settings.drop_last = train->size() > settings.batch_size;
  Pipeline pipeline(train->info(), options.augment, Phase::train);
  return std::make_shared<Loader>(std::move(train), std::move(pipeline), settings,
                                  Random(static_cast<uint64_t>(options.loop.seed)).split("train"));
}

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

Component fit_model(const Component& model, const DatasetInfo& data, int64_t image_size) {
  Json options = model.options_or_empty();
  const Json all = models().find(model.name).resolve(options, "model");
  fit_option(options, all, "num_classes", static_cast<int64_t>(data.classes.size()), "classes");
  fit_option(options, all, "in_channels", data.channels, "channels");
  if (image_size > 0) fit_option(options, all, "image_size", image_size, "size");
  return models().resolve({model.name, std::move(options)});
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
  return network;
}

int64_t input_size(const DatasetInfo& data, const AugmentOptions& augment) {
  const Pipeline pipeline(data, augment, Phase::train);
  return pipeline.height() == pipeline.width() ? pipeline.height() : 0;
}

std::shared_ptr<Loader> make_test_loader(const TrainOptions& options,
                                         std::shared_ptr<const Dataset> test) {
  LoaderOptions settings = loader_options(options);
  Pipeline pipeline(test->info(), options.augment, Phase::test);
  return std::make_shared<Loader>(std::move(test), std::move(pipeline), settings, Random(0));
}

Json to_json(const DatasetInfo& info) {
  const TransformDefaults& t = info.transform;
  return {{"name", info.name},
          {"classes", info.classes},
          {"channels", info.channels},
          {"height", info.height},
          {"width", info.width},
          {"mean", info.mean},
          {"stddev", info.stddev},
          {"crop", EnumNames<CropKind>::names[static_cast<size_t>(t.crop)]},
          {"size", t.size},
          {"resize", t.resize},
          {"pad", t.pad},
          {"flip", t.flip}};
}

DatasetInfo dataset_info_from_json(const Json& json) {
  DatasetInfo info;
  TransformDefaults& t = info.transform;
  json.at("name").get_to(info.name);
  json.at("classes").get_to(info.classes);
  json.at("channels").get_to(info.channels);
  json.at("height").get_to(info.height);
  json.at("width").get_to(info.width);
  json.at("mean").get_to(info.mean);
  json.at("stddev").get_to(info.stddev);
  json.at("size").get_to(t.size);
  json.at("resize").get_to(t.resize);
  json.at("pad").get_to(t.pad);
  json.at("flip").get_to(t.flip);
  const auto& names = EnumNames<CropKind>::names;
  const auto crop = std::find(names.begin(), names.end(), json.at("crop").get<std::string>());
  if (crop == names.end())
    throw Error(ErrorKind::corrupt_file, {.where = "data.crop", .rule = "is not a kind of crop"});
  t.crop = static_cast<CropKind>(crop - names.begin());
  return info;
}

Experiment make_experiment(TrainOptions options) {
  Experiment e;
  e.data = open_data(options.data);
  const DatasetInfo& info = e.data->train->info();
  options.model = fit_model(options.model, info, input_size(info, options.augment));
  e.options = std::move(options);
  e.model = make_model(e.options.model, e.options.loop.seed);
  plan_memory(*e.model, e.options.memory);
  place_module(*e.model, parse_device(e.options.loop.device), e.options.loop.channels_last);
  train_only(*e.model, e.options.trainable);
  e.task = std::make_shared<ClassificationTask>(ClassificationOptions{e.options.label_smoothing});
  e.optimizer = make_optimizer(e.options, *e.model);
  e.schedule = schedules().create(e.options.schedule);
  e.train = make_train_loader(e.options, e.data->train);
  e.test = make_test_loader(e.options, e.data->test);
  e.review = std::make_shared<ClassificationReview>(
      static_cast<int64_t>(e.data->test->info().classes.size()), e.data->test->size());
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
          .review = e.review,
          .configuration = e.configuration(),
          .data = to_json(e.data->train->info())};
}

}  // namespace residua
