#include "residua/runtime/type_choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>

#include "residua/core/error.h"
#include "residua/graph/numbers.h"
#include "residua/graph/passes/passes.h"
#include "residua/runtime/session.h"

namespace residua {

namespace {

// One type, compiled: what is measured and run by turns.
class Candidate {
 public:
  Candidate(ElementType type, Graph graph, const PlanOptions& options)
      : type_(type),
        graph_(std::move(graph)),
        options_(options),
        plan_(std::make_shared<const Plan>(graph_, options_)),
        session_(plan_) {
    for (const TensorType& output : plan_->output_types())
      outputs_.emplace_back(
          static_cast<size_t>(checked_bytes(output.shape, output.dtype, "output")));
  }

  double run(const CalibrationSample& sample) {
    std::vector<const void*> in;
    std::vector<void*> out;
    for (const TensorData& tensor : sample) in.push_back(tensor.bytes.data());
    for (auto& output : outputs_) out.push_back(output.data());
    const auto begin = std::chrono::steady_clock::now();
    session_.run(in, out);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }

  Numbers scores(const CalibrationSample& sample) {
    run(sample);
    return read_numbers(plan_->output_types().front(), {nullptr, outputs_.front()});
  }

  ElementType type() const { return type_; }
  int64_t weight_bytes() const { return plan_->weight_bytes(); }
  Graph& graph() { return graph_; }
  const PlanOptions& options() const { return options_; }

 private:
  ElementType type_;
  Graph graph_;
  PlanOptions options_;
  std::shared_ptr<const Plan> plan_;
  Session session_;
  std::vector<std::vector<std::byte>> outputs_;
};

// Rows of the last axis whose largest place is the same, and sums of squares.
struct Difference {
  int64_t rows = 0, same = 0;
  double squares = 0, all = 0;

  void add(const Numbers& expected, const Numbers& received) {
    const Shape& shape = expected.type.shape;
    const auto width = static_cast<size_t>(shape.empty() ? 1 : std::max<int64_t>(shape.back(), 1));
    for (size_t at = 0; at + width <= expected.data.size(); at += width) {
      const auto largest = [&](const Numbers& n) {
        const auto begin = n.data.begin() + static_cast<int64_t>(at);
        return std::max_element(begin, begin + static_cast<int64_t>(width)) - begin;
      };
      ++rows;
      same += largest(expected) == largest(received);
    }
    for (size_t i = 0; i < expected.data.size(); ++i) {
      const double d = expected.data[i] - received.data[i];
      squares += d * d;
      all += expected.data[i] * expected.data[i];
    }
  }
};

double median(std::vector<double> numbers) {
  const auto middle = numbers.begin() + static_cast<int64_t>(numbers.size() / 2);
  std::nth_element(numbers.begin(), middle, numbers.end());
  return *middle;
}

void measure_by_turns(std::vector<std::unique_ptr<Candidate>>& candidates,
                      const CalibrationSample& sample, int64_t repeat,
                      std::vector<TypeTrial>& trials) {
  constexpr int64_t kWarmUp = 3;
  std::vector<std::vector<double>> seconds(candidates.size());
  for (int64_t round = 0; round < kWarmUp + repeat; ++round)
    for (size_t i = 0; i < candidates.size(); ++i) {
      const double s = candidates[i]->run(sample);
      if (round >= kWarmUp) seconds[i].push_back(s);
    }
  for (TypeTrial& trial : trials)
    for (size_t i = 0; i < candidates.size(); ++i)
      if (candidates[i]->type() == trial.type) trial.seconds = median(seconds[i]);
}

void refuse_what_is_worse(std::vector<TypeTrial>& trials, const TypeChoiceOptions& options) {
  const TypeTrial& fp32 = trials.front();
  for (TypeTrial& trial : trials) {
    if (trial.type == ElementType::fp32 || !trial.refused.empty()) continue;
    const double wanted =
        trial.type == ElementType::int8 ? options.int8_agreement : options.bf16_agreement;
    if (trial.agreement < wanted)
      trial.refused = fmt::format("agrees with fp32 in {:.2f} % of the decisions, {:g} wanted",
                                  100 * trial.agreement, 100 * wanted);
    else if (trial.seconds >= fp32.seconds)
      trial.refused = fmt::format("is not faster here: {:.3f} ms, fp32 {:.3f} ms",
                                  1e3 * trial.seconds, 1e3 * fp32.seconds);
  }
}

// The forced one, where it can run at all, or the fastest that is not refused.
size_t best_of(const std::vector<TypeTrial>& trials, const TypeChoiceOptions& options) {
  for (size_t i = 0; i < trials.size(); ++i)
    if (options.forced == trials[i].type && trials[i].seconds > 0) return i;
  size_t best = 0;
  for (size_t i = 1; i < trials.size(); ++i)
    if (trials[i].refused.empty() && trials[i].seconds < trials[best].seconds) best = i;
  return best;
}

}  // namespace

TypeChoice choose_type(Graph graph, std::span<const CalibrationSample> samples,
                       const TypeChoiceOptions& options) {
  if (samples.empty())
    throw Error(ErrorKind::invalid_argument,
                {.where = "choose_type", .rule = "needs samples to compare decisions on"});
  const auto tell = [&](const std::string& text) {
    if (options.progress) options.progress(text);
  };
  optimise(graph);
  TypeChoice choice;
  std::vector<std::unique_ptr<Candidate>> candidates;
  const auto add = [&](ElementType type, Graph of) {
    tell(fmt::format("{}: compiling", EnumNames<ElementType>::names[static_cast<size_t>(type)]));
    PlanOptions plan = options.plan;
    plan.dtype = type == ElementType::bf16 ? PlanDType::bf16 : PlanDType::fp32;
    candidates.push_back(std::make_unique<Candidate>(type, std::move(of), plan));
    choice.trials.push_back({.type = type, .weight_bytes = candidates.back()->weight_bytes()});
  };
  add(ElementType::fp32, graph);
  for (const ElementType type : options.types) {
    if (type == ElementType::fp32) continue;
    try {
      if (type == ElementType::int8) tell("int8: calibrating");
      add(type, type == ElementType::int8 ? quantize(graph, samples, options.quantize) : graph);
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::unsupported) throw;
      choice.trials.push_back({.type = type, .refused = e.what()});
    }
  }
  tell("comparing decisions");
  std::vector<Difference> differences(candidates.size());
  for (const CalibrationSample& sample : samples) {
    const Numbers expected = candidates.front()->scores(sample);
    for (size_t i = 1; i < candidates.size(); ++i)
      differences[i].add(expected, candidates[i]->scores(sample));
  }
  for (TypeTrial& trial : choice.trials)
    for (size_t i = 1; i < candidates.size(); ++i) {
      if (candidates[i]->type() != trial.type) continue;
      const Difference& d = differences[i];
      trial.agreement =
          static_cast<double>(d.same) / static_cast<double>(std::max<int64_t>(d.rows, 1));
      trial.error = std::sqrt(d.squares / std::max(d.all, 1e-300));
    }
  tell("measuring");
  measure_by_turns(candidates, samples.front(), options.repeat, choice.trials);
  refuse_what_is_worse(choice.trials, options);
  choice.chosen = best_of(choice.trials, options);
  for (auto& candidate : candidates)
    if (candidate->type() == choice.trials[choice.chosen].type) {
      choice.graph = std::move(candidate->graph());
      choice.options = candidate->options();
    }
  return choice;
}

}  // namespace residua
