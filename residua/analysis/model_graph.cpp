#include "residua/analysis/model_graph.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/torch.h>

#include "residua/trace/trace.h"

namespace residua {

namespace {

// Evaluation mode as long as it lives.
class EvaluationMode {
 public:
  explicit EvaluationMode(Model& model) : model_(model), was_training_(model.is_training()) {
    model_.eval();
  }
  ~EvaluationMode() { model_.train(was_training_); }
  EvaluationMode(const EvaluationMode&) = delete;
  EvaluationMode& operator=(const EvaluationMode&) = delete;

 private:
  Model& model_;
  bool was_training_;
};

struct ModelInput {
  TraceInput input = {};
  std::map<std::string, Symbol> symbols = {};

  void add(const std::string& symbol, int64_t size, bool is_dynamic, const Symbol& range) {
    input.axes.push_back(is_dynamic ? SymbolRule{symbol, 1, 0} : fixed(size));
    if (is_dynamic) symbols[symbol] = range;
  }
};

ModelInput image_input(const ModelInfo& info, const ModelGraphOptions& o) {
  const int64_t height = o.height > 0 ? o.height : info.input_height;
  const int64_t width = o.width > 0 ? o.width : info.input_width;
  const int64_t max = info.max_input > 0 ? info.max_input : INT64_MAX;
  const bool dynamic = o.dynamic_size && info.min_input < max;
  ModelInput made;
  made.add("batch", o.batch, o.dynamic_batch, {.size = o.batch});
  made.input.axes.push_back(fixed(info.in_channels));
  for (const auto& [name, size] : {std::pair{"height", height}, {"width", width}})
    made.add(name, size, dynamic, {.size = size, .min = info.min_input, .max = max});
  return made;
}

ModelInput token_input(const ModelInfo& info, const ModelGraphOptions& o) {
  const int64_t tokens = o.tokens > 0 ? o.tokens : info.context;
  ModelInput made;
  made.input.dtype = DType::i64;
  made.input.ids = info.vocabulary;
  made.add("batch", o.batch, o.dynamic_batch, {.size = o.batch});
  made.add("tokens", tokens, o.dynamic_size && info.context > 1,
           {.size = tokens, .max = info.context});
  return made;
}

void describe_model(Graph& graph, const ModelInfo& info) {
  graph.metadata["classes"] = std::to_string(info.num_classes);
  if (info.weights.empty()) return;
  const WeightsInfo& weights = info.weights.front();
  graph.metadata["mean"] = fmt::format("{}", fmt::join(weights.mean, " "));
  graph.metadata["stddev"] = fmt::format("{}", fmt::join(weights.stddev, " "));
  graph.metadata["crop"] = fmt::format("{}", weights.crop_fraction);
}

}  // namespace

void ModelGraphOptions::fields(Fields& f) {
  f.add("batch", batch, "images or sequences in a batch", {.min = 1});
  f.add("height", height, "of images; 0: what the model was made for", {.min = 0});
  f.add("width", width, "of images; 0: what the model was made for", {.min = 0});
  f.add("tokens", tokens, "in a sequence; 0: the model's longest", {.min = 0});
  f.add("dynamic_batch", dynamic_batch, "the graph serves every size of batch");
  f.add("dynamic_size", dynamic_size, "and every height and width, or number of tokens");
}

Graph model_graph(Model& model, const ModelGraphOptions& options) {
  const EvaluationMode evaluation(model);
  const ModelInfo& info = model.info();
  ModelInput made = info.takes_tokens() ? token_input(info, options) : image_input(info, options);
  Graph graph =
      trace([&](const std::vector<at::Tensor>& x) { return std::vector{model.forward(x.front())}; },
            {made.input}, made.symbols, state_dict(model));
  describe_model(graph, info);
  return graph;
}

}  // namespace residua
