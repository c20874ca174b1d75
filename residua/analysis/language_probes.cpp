#include "residua/analysis/language_probes.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <chrono>

#include "residua/analysis/probed_model.h"
#include "residua/core/error.h"

namespace residua {

namespace {

double decode_clock() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct DecodeCacheOptions {
  int64_t repeats = 3;
  void fields(Fields& f) { f.add("repeats", repeats, "the median of which counts", {.min = 1}); }
};

class DecodeCacheProbe final : public Probe {
 public:
  explicit DecodeCacheProbe(const DecodeCacheOptions& options) : options_(options) {}

  ProbeResult run(const ProbeContext& context) override {
    const ProbedModel probed = open_probed(context, "decode-cache");
    Gpt& gpt = probed.gpt("decode-cache");
    const at::Tensor text = probed.test_batches(1).front().input;
    const torch::NoGradGuard no_grad;
    Series bytes{.name = "cache", .x_label = "tokens", .y_label = "bytes"};
    std::vector<double> seconds;
    for (int64_t i = 0; i < options_.repeats; ++i)
      seconds.push_back(decode(gpt, text, i == 0 ? &bytes : nullptr));
    std::ranges::sort(seconds);
    const GptOptions& o = gpt.options();
    const int64_t kv_heads = o.kv_heads == 0 ? o.heads : o.kv_heads;
    const double whole = static_cast<double>(2 * 4 * o.depth * text.size(1) * kv_heads) *
                         static_cast<double>(o.dim / o.heads);
    return {.metrics = {{"cache_bytes", bytes.measured.back()},
                        {"cache_share", bytes.measured.back() / whole},
                        {"tokens_per_second",
                         static_cast<double>(text.size(1)) / seconds[seconds.size() / 2]}},
            .series = {std::move(bytes)}};
  }

 private:
  // Seconds for one token after the other.
  static double decode(Gpt& model, const at::Tensor& text, Series* bytes) {
    DecodeCache cache;
    const double begin = decode_clock();
    for (int64_t i = 0; i < text.size(1); ++i) {
      model.decode(text.narrow(1, i, 1), cache);
      if (bytes == nullptr) continue;
      bytes->x.push_back(static_cast<double>(i + 1));
      bytes->measured.push_back(static_cast<double>(cache.bytes()));
    }
    return decode_clock() - begin;
  }

  DecodeCacheOptions options_;
};

double mean_loss(Model& model, const std::vector<Batch>& batches) {
  const torch::NoGradGuard no_grad;
  double sum = 0, samples = 0;
  for (const Batch& batch : batches) {
    const auto size = static_cast<double>(batch.size());
    sum += size * output_loss(model.forward(batch.input), batch.target).item<double>();
    samples += size;
  }
  return sum / samples;
}

struct LoopSweepOptions {
  int64_t most = 8;
  int64_t windows = 0;
  void fields(Fields& f) {
    f.add("most", most, "greatest number of loops", {.min = 1, .max = 100});
    f.add("windows", windows, "windows of the validation text; 0: all", {.min = 0});
  }
};

class LoopSweepProbe final : public Probe {
 public:
  explicit LoopSweepProbe(const LoopSweepOptions& options) : options_(options) {}

  ProbeResult run(const ProbeContext& context) override {
    ProbeResult result;
    Series series{.name = "loss", .x_label = "loops at evaluation", .y_label = "nats"};
    for (int64_t loops = 1; loops <= options_.most; ++loops) {
      const ProbedModel probed =
          open_probed(context, "loop-sweep", [&](Json& model) { set_loops(model, loops); });
      const double loss = mean_loss(*probed.model, probed.test_batches(options_.windows));
      result.metrics.emplace_back(fmt::format("loss_{}", loops), loss);
      series.x.push_back(static_cast<double>(loops));
      series.measured.push_back(loss);
    }
    result.series.push_back(std::move(series));
    return result;
  }

 private:
  static void set_loops(Json& model, int64_t loops) {
    Json& connection = model["connection"];
    if (!connection.is_object() || connection.value("name", "") != "loop")
      throw Error(ErrorKind::unsupported,
                  {.where = "probe loop-sweep",
                   .rule = "looks at a model with connection={name=\"loop\", ...}",
                   .received = connection.dump()});
    connection["eval_loops"] = loops;
  }

  LoopSweepOptions options_;
};

}  // namespace

void add_language_probes(Registry<Probe>& probes) {
  probes.add<DecodeCacheOptions>(
      {"decode-cache", "memory and speed of decoding with a cache", "value-residual"}, {},
      [](const DecodeCacheOptions& o) { return std::make_shared<DecodeCacheProbe>(o); });
  probes.add<LoopSweepOptions>(
      {"loop-sweep", "validation loss by the number of loops at evaluation", "loop-residual"}, {},
      [](const LoopSweepOptions& o) { return std::make_shared<LoopSweepProbe>(o); });
}

}  // namespace residua
