#include "residua/analysis/cost.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>

#include "residua/core/error.h"

namespace residua {
namespace {

ModelCost cost_of(const Component& component, const Shape& input) {
  return measure_cost(*models().create(component, Random(0)), input);
}

const LayerCost& layer_named(const ModelCost& cost, const std::string& name) {
  const auto found = std::ranges::find(cost.layers, name, &LayerCost::name);
  EXPECT_NE(found, cost.layers.end()) << name;
  return *found;
}

// The counts of torchvision's documentation, 1.814 and 4.089 G.
TEST(Cost, CountsTheWellKnownOperations) {
  EXPECT_EQ(cost_of("resnet18", {1, 3, 224, 224}).macs, 1814073344);
  EXPECT_EQ(cost_of("resnet50", {1, 3, 224, 224}).macs, 4089184256);
}

TEST(Cost, CountsEachLayer) {
  const ModelCost cost = cost_of("resnet20", {2, 3, 32, 32});
  const LayerCost& conv = layer_named(cost, "layer2.0.conv1");
  EXPECT_EQ(conv.type, "Conv2d(16 -> 32, 3x3, stride 2, padding 1)");
  EXPECT_EQ(conv.input, (Shape{2, 16, 32, 32}));
  EXPECT_EQ(conv.output, (Shape{2, 32, 16, 16}));
  EXPECT_EQ(conv.parameters, 32 * 16 * 9);
  EXPECT_EQ(conv.macs, 2 * 16 * 16 * 32 * 16 * 9);
  EXPECT_EQ(conv.activation_bytes, 2 * 32 * 16 * 16 * 4);
  const LayerCost& fc = layer_named(cost, "linear");
  EXPECT_EQ(fc.macs, 2 * 64 * 10);
  EXPECT_EQ(fc.parameters, 650);
}

TEST(Cost, LayersAddUpToTheModel) {
  const ModelCost cost = cost_of({"resnet50", {{"layers", {1, 1, 1, 1}}}}, {1, 3, 64, 64});
  int64_t parameters = 0, macs = 0;
  for (const LayerCost& l : cost.layers) {
    EXPECT_FALSE(l.name.empty());
    parameters += l.parameters;
    macs += l.macs;
  }
  EXPECT_EQ(parameters, cost.parameters);
  EXPECT_EQ(macs, cost.macs);
  EXPECT_EQ(cost.parameter_bytes, 4 * cost.parameters);
}

TEST(Cost, LeavesTheModelAsItWas) {
  const auto model = models().create({"resnet20", {{"n", 1}, {"width", 4}}}, Random(0));
  model->train();
  model->named_children()["bn1"]->eval();
  const at::Tensor mean = model->named_buffers()["bn1.running_mean"].clone();
  measure_cost(*model, {2, 3, 16, 16});
  EXPECT_TRUE(model->is_training());
  EXPECT_TRUE(model->named_children()["layer1"]->is_training());
  EXPECT_FALSE(model->named_children()["bn1"]->is_training());
  EXPECT_TRUE(mean.equal(model->named_buffers()["bn1.running_mean"]));
  EXPECT_THROW(measure_cost(*model, {2, 4, 16, 16}), Error);
  EXPECT_TRUE(model->is_training());
}

TEST(Cost, EstimatesTrainingMemory) {
  const ModelCost cost = cost_of("resnet20", {2, 3, 32, 32});
  const TrainingMemory memory = estimate_training_memory(
      cost, {.batch_size = 128, .optimizer_values = 2, .ema = true, .activation_scale = 0.5});
  EXPECT_EQ(memory.gradients, 4 * 269722);
  EXPECT_EQ(memory.optimizer, 8 * 269722);
  EXPECT_EQ(memory.weights, cost.parameter_bytes + cost.buffer_bytes);
  EXPECT_EQ(memory.ema, memory.weights);
  EXPECT_EQ(memory.activations, cost.activation_bytes * 64 / 2);
  EXPECT_EQ(memory.total(),
            memory.weights + memory.gradients + memory.optimizer + memory.ema + memory.activations);
}

}  // namespace
}  // namespace residua
