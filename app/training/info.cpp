// residua info: a model's layers, what they cost, and the weights that are published for it.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/torch.h>

#include <algorithm>
#include <array>

#include "app/commands.h"
#include "residua/analysis/cost.h"
#include "residua/core/error.h"
#include "residua/core/json.h"
#include "residua/nn/init.h"

namespace residua::app {

namespace {

// Overrides name options of the model, with or without "model." before them.
Component model_with_overrides(const InfoArguments& arguments) {
  Json options = Json::object();
  for (const std::string& text : arguments.overrides)
    merge_key_value(options, text.starts_with("model.") ? std::string_view(text).substr(6) : text);
  return models().resolve({arguments.model, options});
}

Shape one_input(const InfoArguments& arguments, const ModelInfo& info) {
  if (info.takes_tokens()) {
    if (arguments.input.empty()) return {1, info.context};
    throw Error(ErrorKind::invalid_argument, {.where = "--input",
                                              .rule = "is of images, and this model reads tokens",
                                              .hint = "its option ctx is the longest sequence"});
  }
  if (arguments.input.empty()) return {1, info.in_channels, info.input_height, info.input_width};
  if (arguments.input.size() != 3)
    throw Error(ErrorKind::invalid_argument,
                {.where = "--input",
                 .rule = "takes channels, height and width",
                 .received = fmt::format("{}", fmt::join(arguments.input, " "))});
  Shape shape{1};
  shape.insert(shape.end(), arguments.input.begin(), arguments.input.end());
  if (std::ranges::any_of(shape, [](int64_t size) { return size < 1; }))
    throw Error(ErrorKind::invalid_argument,
                {.where = "--input",
                 .rule = "takes sizes of at least 1",
                 .received = fmt::format("{}", fmt::join(arguments.input, " "))});
  return shape;
}

Json layers_to_json(const ModelCost& cost) {
  Json layers = Json::array();
  for (const LayerCost& l : cost.layers)
    layers.push_back({{"name", l.name},
                      {"type", l.type},
                      {"input", l.input},
                      {"output", l.output},
                      {"parameters", l.parameters},
                      {"macs", l.macs},
                      {"activation_bytes", l.activation_bytes}});
  return layers;
}

Json info_to_json(const Component& component, const ModelInfo& info, const Shape& input,
                  const ModelCost& cost) {
  Json levels = Json::array(), weights = Json::array();
  for (const FeatureLevel& l : info.levels)
    levels.push_back({{"name", l.name}, {"channels", l.channels}, {"reduction", l.reduction}});
  for (const WeightsInfo& w : info.weights)
    weights.push_back({{"url", w.url},
                       {"sha256", w.sha256},
                       {"licence", w.licence},
                       {"input_size", w.input_size},
                       {"crop_fraction", w.crop_fraction},
                       {"mean", w.mean},
                       {"std", w.stddev}});
  return {{"model", component.name},
          {"options", component.options_or_empty()},
          {"input", input},
          {"num_classes", info.num_classes},
          {"classifier", info.classifier},
          {"min_input", info.min_input},
          {"vocabulary", info.vocabulary},
          {"context", info.context},
          {"parameters", cost.parameters},
          {"buffers", cost.buffers},
          {"macs", cost.macs},
          {"activation_bytes", cost.activation_bytes},
          {"levels", levels},
          {"weights", weights},
          {"layers", layers_to_json(cost)}};
}

std::string sizes_text(const Shape& shape) {  // without the batch
  return fmt::format("{}", fmt::join(shape.begin() + 1, shape.end(), "x"));
}

std::string count_text(int64_t count) { return count == 0 ? "" : fmt::format("{}", count); }

void print_layer_table(const ModelCost& cost) {
  using Row = std::array<std::string, 6>;
  std::vector<Row> rows{{"layer", "type", "output", "parameters", "MACs", "bytes"}};
  for (const LayerCost& l : cost.layers)
    rows.push_back({l.name, l.type, sizes_text(l.output), count_text(l.parameters),
                    count_text(l.macs), count_text(l.activation_bytes)});
  std::array<size_t, 6> width{};
  for (const Row& row : rows)
    for (size_t c = 0; c < row.size(); ++c) width[c] = std::max(width[c], row[c].size());
  for (const Row& row : rows)
    fmt::print("{:<{}}  {:<{}}  {:<{}}  {:>{}}  {:>{}}  {:>{}}\n", row[0], width[0], row[1],
               width[1], row[2], width[2], row[3], width[3], row[4], width[4], row[5], width[5]);
}

void print_info(const Component& component, const ModelInfo& info, const Shape& input,
                const ModelCost& cost) {
  print_layer_table(cost);
  const TrainingMemory memory = estimate_training_memory(cost, {.batch_size = 1});
  const std::string sample = info.takes_tokens() ? "sequence" : "image";
  if (info.takes_tokens())
    fmt::print("\n{} for sequences of {} tokens out of {}\n", component.name, info.context,
               info.vocabulary);
  else
    fmt::print("\n{} for {} -> {} classes\n", component.name, sizes_text(input), info.num_classes);
  fmt::print("parameters   {:.3f} M ({}), and {} numbers in buffers\n", cost.parameters / 1e6,
             cost.parameters, cost.buffers);
  fmt::print("operations   {:.3f} G multiply-accumulates per {}\n", cost.macs / 1e9, sample);
  fmt::print(
      "training     {:.1f} MB for weights, gradients and momentum, and {:.1f} MB of activations "
      "per {}\n",
      (memory.total() - memory.activations) / 1e6, memory.activations / 1e6, sample);
  std::vector<std::string> levels;
  for (const FeatureLevel& l : info.levels)
    levels.push_back(fmt::format("{} ({}, 1/{})", l.name, l.channels, l.reduction));
  fmt::print("features     {}\n", fmt::join(levels, ", "));
  for (const WeightsInfo& w : info.weights) fmt::print("weights      {}\n", w.url);
}

}  // namespace

int info(const InfoArguments& arguments) {
  const Component component = model_with_overrides(arguments);
  std::shared_ptr<Model> model;
  {
    const SkipInitialization only_shapes;
    model = models().create(component, Random(0));
  }
  for (at::Tensor& p : model->parameters())
    p.detach().zero_();  // what lies in fresh memory can be slow to compute with
  const Shape input = one_input(arguments, model->info());
  const ModelCost cost = measure_cost(*model, input);
  if (arguments.json)
    fmt::print("{}\n", info_to_json(component, model->info(), input, cost).dump(2));
  else
    print_info(component, model->info(), input, cost);
  return 0;
}

}  // namespace residua::app
