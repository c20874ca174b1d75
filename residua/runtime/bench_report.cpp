#include "residua/runtime/bench_report.h"

#include <algorithm>

#include "residua/io/page.h"

namespace residua {

namespace {

// As PlanOptions name types; integer products have factors of both signs.
const char* arithmetic_name(DType type) {
  switch (type) {
    case DType::bf16: return "bf16";
    case DType::u8:
    case DType::i8: return "int8";
    default: return "fp32";
  }
}

Json layer_to_json(const LayerTime& layer, const Roofs& roofs) {
  return {{"name", layer.info.name},
          {"kind", layer.info.kind},
          {"kernel", layer.info.kernel},
          {"layout", layer.info.layout},
          {"arithmetic", arithmetic_name(layer.info.arithmetic)},
          {"operations", layer.info.operations},
          {"bytes", layer.info.bytes},
          {"seconds", layer.seconds},
          {"roof", layer.info.operations > 0 ? roofs.of(layer.info) : 0}};
}

Json result_to_json(const BenchResult& result, const Roofs& roofs) {
  const double median = percentile(result.seconds, 0.5);
  Json json = options_to_json(result.options);
  json.erase("cache");
  json["name"] = result.name;
  json["threads"] = result.threads;
  json["batch"] = result.batch;
  json["open"] = result.open_seconds;
  json["compile"] = result.compile_seconds;
  json["first_run"] = result.first_seconds;
  json["first_result"] = result.to_first_result();
  json["least"] = percentile(result.seconds, 0);
  json["median"] = median;
  json["p90"] = percentile(result.seconds, 0.9);
  json["p99"] = percentile(result.seconds, 0.99);
  json["per_second"] = static_cast<double>(std::max<int64_t>(result.batch, 1)) / median;
  json["session_bytes"] = result.session_bytes;
  json["weight_bytes"] = result.weight_bytes;
  json["peak_bytes"] = result.peak_bytes;
  json["seconds"] = result.seconds;
  json["layers"] = Json::array();
  for (const LayerTime& layer : result.layers)
    json["layers"].push_back(layer_to_json(layer, roofs));
  return json;
}

}  // namespace

Json bench_to_json(const std::vector<BenchResult>& results, const BenchOptions& options,
                   const Roofs& roofs, const Json& machine) {
  Json operations = Json::object();
  for (const auto& [type, rate] : roofs.operations) operations[arithmetic_name(type)] = rate;
  Json json{
      {"warmup", options.warmup},
      {"repeat", options.repeat},
      {"machine", machine},
      {"roofs", {{"threads", roofs.threads}, {"operations", operations}, {"bytes", roofs.bytes}}},
      {"variants", Json::array()}};
  for (const BenchResult& result : results)
    json["variants"].push_back(result_to_json(result, roofs));
  return json;
}

std::string bench_page(const std::string& title, const Json& bench) {
  return fill_page(bench_template(), title, bench);
}

}  // namespace residua
