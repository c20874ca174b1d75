#include "residua/analysis/decode_speed.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <map>

#include "residua/models/language/sharded_gpt.h"
#include "residua/train/distributed/ranks.h"

namespace residua {

namespace {

double decode_clock() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Llama's shape.
GptOptions decoded_model(const DecodeSpeedOptions& o, const Component& connection) {
  return {.dim = o.dim,
          .depth = o.depth,
          .heads = o.heads,
          .kv_heads = o.kv_heads,
          .ctx = o.tokens + 1,
          .vocab_size = 256,
          .norm = VectorNormKind::rms,
          .positions = GptPositions::rotary,
          .mlp = GptMlp::swiglu,
          .bias = false,
          .connection = connection};
}

// Seconds for `tokens` tokens after a first one. The ids are given, since a bound that does not sum
// would write another text on every rank.
double decode_once(ShardedGpt& model, Collective& ranks, int64_t tokens) {
  DecodeCache cache;
  const at::Tensor id = torch::zeros({1, 1}, at::kLong);
  model.decode(id, cache);
  ranks.sum(torch::zeros({1}));  // all ranks begin together
  const double begin = decode_clock();
  for (int64_t t = 0; t < tokens; ++t) model.decode(id.fill_(t % 256), cache);
  return decode_clock() - begin;
}

double decode_median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

class DecodeSpeedProbe final : public Probe {
 public:
  explicit DecodeSpeedProbe(const DecodeSpeedOptions& options) : options_(options) {}

  ProbeResult run(const ProbeContext& context) override {
    std::vector<DecodeSpeed> speeds;
    run_rank_threads(options_.world, [&](const std::shared_ptr<Collective>& ranks) {
      std::vector<DecodeSpeed> own = measure_decoding(options_, ranks, context.random);
      if (ranks->rank() == 0) speeds = std::move(own);
    });
    ProbeResult result;
    std::map<std::string, Series> curves;
    for (const DecodeSpeed& s : speeds) {
      result.metrics.emplace_back(fmt::format("{}.us{}", s.layout, s.latency), s.tokens_per_second);
      if (s.latency == options_.latencies.front())
        result.metrics.emplace_back(s.layout + ".sums", static_cast<double>(s.sums_per_token));
      Series& curve = curves[s.layout];
      curve.name = s.layout;
      curve.x_label = "added latency of a sum (ms)";
      curve.y_label = "tokens per second";
      curve.x.push_back(static_cast<double>(s.latency) / 1000);
      curve.measured.push_back(s.tokens_per_second);
    }
    for (auto& [name, curve] : curves) result.series.push_back(std::move(curve));
    return result;
  }

 private:
  DecodeSpeedOptions options_;
};

}  // namespace

void DecodeSpeedOptions::fields(Fields& f) {
  f.add("dim", dim, "width of the stream", {.min = 1});
  f.add("depth", depth, "blocks", {.min = 1});
  f.add("heads", heads, "of each attention", {.min = 1});
  f.add("kv_heads", kv_heads, "heads of keys and values", {.min = 1});
  f.add("tokens", tokens, "decoded in each measurement", {.min = 1});
  f.add("repeats", repeats, "measurements, of which the median counts", {.min = 1});
  f.add("latencies", latencies, "microseconds added to each sum over the ranks",
        {.min = 0, .max = 1e6});
  f.add("world", world, "ranks", {.min = 1, .max = 64});
}

const std::vector<DecodeLayout>& decode_layouts() {
  static const std::vector<DecodeLayout> layouts{
      {"standard", "identity"},
      {"parallel", {"parallel", {{"k", 2}, {"kinds", "mixed"}}}},
      {"ladder", "ladder"},
      {"desync", {"desync", {{"period", 2}}}},
      {"bound", "identity", false}};
  return layouts;
}

std::vector<DecodeSpeed> measure_decoding(const DecodeSpeedOptions& o,
                                          const std::shared_ptr<Collective>& ranks,
                                          const Random& random) {
  std::vector<DecodeSpeed> speeds;
  std::vector<std::unique_ptr<ShardedGpt>> models;
  std::vector<std::vector<double>> seconds;
  for (const int64_t latency : o.latencies)
    for (const DecodeLayout& layout : decode_layouts()) {
      const auto network = !layout.sums  ? without_sums(ranks->rank(), ranks->world())
                           : latency > 0 ? delayed(ranks, static_cast<double>(latency) * 1e-6)
                                         : ranks;
      const auto whole = std::make_shared<Gpt>(decoded_model(o, layout.connection), random);
      whole->eval();
      models.push_back(std::make_unique<ShardedGpt>(whole, network));
      speeds.push_back({.layout = layout.name, .latency = latency});
    }
  seconds.resize(models.size());
  for (int64_t repeat = 0; repeat < o.repeats; ++repeat)
    for (size_t i = 0; i < models.size(); ++i) {
      const int64_t before = ranks->sums();
      seconds[i].push_back(decode_once(*models[i], *ranks, o.tokens));
      speeds[i].sums_per_token = (ranks->sums() - before - 1) / (o.tokens + 1);
    }
  for (size_t i = 0; i < models.size(); ++i)
    speeds[i].tokens_per_second = static_cast<double>(o.tokens) / decode_median(seconds[i]);
  return speeds;
}

void add_decode_speed_probe(Registry<Probe>& probes) {
  probes.add<DecodeSpeedOptions>(
      {"decode-speed", "tokens per second of a GPT cut over ranks", "ladder-residual"}, {},
      [](const DecodeSpeedOptions& o) { return std::make_shared<DecodeSpeedProbe>(o); });
}

}  // namespace residua
