#pragma once
// Golden cards: a model pinned to a public reference implementation without its weights. A card has
// the reference's parameter names and shapes, a rule that fills every tensor from its name, a rule
// for the inputs, and samples of the reference's outputs. tests/golden/README.md states the rules.
//
//   CardResult result = verify_card(read_card("tests/golden/resnet50.json"));
//   if (!result.passed()) print(result.text());

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "residua/core/json.h"
#include "residua/core/options.h"
#include "residua/io/dtype.h"

namespace torch::nn {
class Module;
}

namespace residua {

struct CardFill {
  std::string pattern;  // regular expression that a whole name must match
  double low = 0, high = 1;
};

struct CardInput {
  std::string name;
  std::string kind;  // "uniform" in [-1, 1), "positive" in [0, 1), "ids" below `high`
  Shape shape;
  int64_t high = 0;
};

struct CardOutput {
  std::string name;
  Shape shape;
  double norm = 0;
  std::vector<std::pair<int64_t, double>> samples;  // flat index, value
};

struct GoldenCard {
  std::string path, reference, system, model;
  Json options;
  bool training = false;
  std::vector<CardFill> fill;
  std::vector<std::string> constants;  // buffers that keep the values the model gives them
  std::vector<std::pair<std::string, Shape>> parameters;
  std::vector<CardInput> inputs;
  std::vector<CardOutput> outputs;
  double relative = 1e-4;
};

// Throw ErrorKind::corrupt_file, naming the key, when the text is not a card.
GoldenCard read_card(const std::string& path);
GoldenCard parse_card(std::string_view text, const std::string& where);

// Fills a tensor from its name by the rule, computing in float64 and rounding once to float32.
// Integer tensors stay.
void golden_fill(const std::string& name, const at::Tensor& tensor,
                 const std::vector<CardFill>& fill = {});
at::Tensor golden_input(const CardInput& input);

struct CardResult {
  std::string path, reference, model;
  int64_t parameters = 0, samples = 0;
  double largest_error =
      0;  // over all outputs, of samples relative to the largest sample, and of norms
  double tolerance = 0;
  std::vector<std::string> failures;

  bool passed() const { return failures.empty(); }
  std::string text() const;  // one line, and one more for each failure
};

using NamedOutputs = std::vector<std::pair<std::string, at::Tensor>>;
// Runs a module on a card's inputs.
using CardCall = std::function<NamedOutputs(const std::vector<at::Tensor>& inputs)>;

// Fills the module by the card's rule and compares what `call` gives; the module stays filled.
CardResult check_card(const GoldenCard& card, torch::nn::Module& module, const CardCall& call);

// The registered model that a card is about: its `model`, else found from its `reference`.
Component card_model(const GoldenCard& card);
// Creates that model and checks it.
CardResult verify_card(const GoldenCard& card);

}  // namespace residua
