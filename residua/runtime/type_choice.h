#pragma once
// Which element type a network should run in on this processor: the fastest of those that keep its
// decisions.
//
//   const TypeChoice choice = choose_type(graph, samples);
//   write_plan("net.plan", choice.graph, {.options = choice.options});

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "residua/runtime/plan.h"
#include "residua/runtime/quantize.h"

namespace residua {

enum class ElementType { fp32, bf16, int8 };
template <>
struct EnumNames<ElementType> {
  static constexpr std::array names{"fp32", "bf16", "int8"};
};

struct TypeTrial {
  ElementType type = ElementType::fp32;
  double seconds = 0;    // of one run, median
  double agreement = 1;  // part of the largest scores that are where fp32 has them
  double error = 0;      // root mean square of the difference over that of fp32's outputs
  int64_t weight_bytes = 0;
  std::string refused = {};  // why it cannot be chosen; empty when it can
};

struct TypeChoiceOptions {
  std::vector<ElementType> types = {ElementType::fp32, ElementType::bf16, ElementType::int8};
  double bf16_agreement = 0.99, int8_agreement = 0.98;  // at least
  int64_t repeat = 20;                                  // measured runs of each type, by turns
  std::optional<ElementType> forced = {};               // chosen although it is refused
  PlanOptions plan = {};                                // `dtype` is chosen
  QuantizeOptions quantize = {};
  // Told what is done, for a display of progress: "int8: calibrating".
  std::function<void(const std::string&)> progress = {};
};

struct TypeChoice {
  std::vector<TypeTrial> trials;  // fp32 first
  size_t chosen = 0;              // of the trials
  Graph graph;                    // optimised, and quantized where int8 was chosen
  PlanOptions options;            // with the chosen dtype
};

// Each sample is the inputs of one run at the graph's sizes. Decisions are the largest of each row
// of the first output. Throws ErrorKind::invalid_argument without samples, and what Plan and
// quantize throw; bf16 on a processor without it is refused in its trial, not thrown.
TypeChoice choose_type(Graph graph, std::span<const CalibrationSample> samples,
                       const TypeChoiceOptions& options = {});

}  // namespace residua
