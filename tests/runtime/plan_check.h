#pragma once
// Compares plans with the reference interpreter.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "residua/core/random.h"
#include "residua/graph/interpreter.h"
#include "residua/runtime/session.h"

namespace residua {

inline std::vector<float> random_numbers(int64_t count, uint64_t seed, double size = 1) {
  Random random(seed);
  std::vector<float> numbers(static_cast<size_t>(count));
  for (float& v : numbers) v = static_cast<float>(random.uniform(-size, size));
  return numbers;
}

inline int64_t count_of(const Shape& shape) {
  int64_t count = 1;
  for (const int64_t s : shape) count *= s;
  return count;
}

// Weights small enough for sums over a row to stay near 1.
inline ValueId random_constant(GraphBuilder& b, const Shape& shape, uint64_t seed) {
  const double fan =
      shape.empty() ? 1 : static_cast<double>(count_of(shape)) / static_cast<double>(shape[0]);
  return b.constant("constant" + std::to_string(seed), shape,
                    random_numbers(count_of(shape), seed, std::sqrt(3 / std::max(fan, 1.0))));
}

inline std::vector<Numbers> random_inputs(const Graph& graph, uint64_t seed) {
  std::vector<Numbers> inputs;
  for (const ValueId v : graph.inputs) {
    Numbers n{graph.value(v).type, {}};
    const auto numbers = random_numbers(count_of(n.type.shape), seed++);
    const bool real = n.type.dtype == DType::f32;
    const double most = n.type.dtype == DType::boolean ? 1 : 4;
    for (const float x : numbers)
      n.data.push_back(real ? static_cast<double>(x)
                            : std::min(most, std::floor(std::abs(static_cast<double>(x)) * 5)));
    inputs.push_back(std::move(n));
  }
  return inputs;
}

// The plan's outputs as numbers.
inline std::vector<Numbers> run_plan(Session& session, const std::vector<Numbers>& inputs) {
  std::vector<ConstantData> bytes;
  std::vector<const void*> in;
  for (const Numbers& n : inputs) {
    bytes.push_back(write_numbers(n));
    in.push_back(bytes.back().bytes.data());
  }
  std::vector<std::vector<std::byte>> memory;
  std::vector<void*> out;
  for (const TensorType& type : session.plan().output_types()) {
    memory.emplace_back(static_cast<size_t>(count_of(type.shape) * element_size(type.dtype)));
    std::memset(memory.back().data(), 0xff, memory.back().size());
  }
  for (auto& m : memory) out.push_back(m.data());
  session.run(in, out);
  std::vector<Numbers> outputs;
  for (size_t i = 0; i < memory.size(); ++i)
    outputs.push_back(read_numbers(session.plan().output_types()[i], {nullptr, memory[i]}));
  return outputs;
}

// The largest difference over the largest number.
inline double relative_error(const Numbers& expected, const Numbers& received) {
  EXPECT_EQ(expected.data.size(), received.data.size());
  double scale = 0, difference = 0;
  for (size_t i = 0; i < expected.data.size(); ++i) {
    const double e = expected.data[i], r = received.data[i];
    if (std::isnan(e) && std::isnan(r)) continue;
    if (e == r) continue;  // infinities too
    scale = std::max(scale, std::abs(e));
    difference = std::max(difference, std::isfinite(r) ? std::abs(e - r) : INFINITY);
  }
  for (const double e : expected.data)
    if (std::isfinite(e)) scale = std::max(scale, std::abs(e));
  return difference == 0 ? 0 : difference / std::max(scale, 1e-30);
}

// The largest error of all outputs, of two runs.
inline double plan_error(const Graph& graph, const PlanOptions& options = {}) {
  const auto plan = std::make_shared<const Plan>(graph, options);
  Session session(plan);
  double error = 0;
  for (const uint64_t seed : {100u, 200u}) {
    const auto inputs = random_inputs(graph, seed);
    const auto expected = interpret(graph, inputs), received = run_plan(session, inputs);
    EXPECT_EQ(expected.size(), received.size());
    for (size_t i = 0; i < expected.size(); ++i)
      error = std::max(error, relative_error(expected[i], received[i]));
  }
  return error;
}

inline std::string kernels_of(const Graph& graph, const PlanOptions& options = {}) {
  const Plan plan(graph, options);
  std::string text;
  for (const LayerInfo& layer : plan.layers())
    text += layer.kind + " [" + layer.kernel + "] " + layer.layout + "\n";
  return text;
}

constexpr double kFp32 = 1e-4;

}  // namespace residua
