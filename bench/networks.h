#pragma once
// The networks that speed is measured on, from their published architectures, with random weights:
// what a layer costs does not depend on its numbers.

#include <string>
#include <vector>

#include "residua/runtime/calibrate.h"

namespace residua::bench {

// resnet18, resnet50, resnext50_32x4d, wide_resnet50_2, densenet121, vgg16, mobilenet_v2, vit_b_16.
const std::vector<std::string>& network_names();

// Images [batch, 3, 224, 224] to 1,000 scores, with every norm, function and product as a node of
// its own. Weights keep the size of what passes through; the same name gives the same weights.
// Throws ErrorKind::not_found for another name.
Graph network(const std::string& name, int64_t batch);

// A graph by one of these names, or from a graph file (.graph, .safetensors) or an ONNX model
// (.onnx) whose first symbol of sizes, if any, becomes the batch.
Graph load_network(const std::string& name_or_path, int64_t batch);

// Normal numbers for each input; whole ones are 0 and 1.
CalibrationSample random_sample(const Graph& graph, uint64_t seed);

// An optimised graph in eight-bit integers, calibrated on two random samples.
Graph integer_network(const Graph& graph);

// Without attention: what integers are meant for.
bool is_convolutional(const Graph& graph);

}  // namespace residua::bench
