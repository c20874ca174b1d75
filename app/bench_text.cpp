#include "app/bench_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "app/terminal.h"
#include "app/text_table.h"

namespace residua::app {

namespace {

constexpr size_t kNameColumns = 40;

std::string dtype_name(const BenchResult& result) {
  return EnumNames<PlanDType>::names[static_cast<size_t>(result.options.dtype)];
}

std::string title_of(const BenchResult& result) {
  return fmt::format("{}, {}, batch {}", result.name, dtype_name(result), result.batch);
}

// The end of a long module path says the most.
std::string shortened(const std::string& name) {
  return name.size() <= kNameColumns ? name : "..." + name.substr(name.size() - kNameColumns + 3);
}

double seconds_of_layers(const BenchResult& result) {
  double sum = 0;
  for (const LayerTime& layer : result.layers) sum += layer.seconds;
  return sum;
}

std::vector<std::string> layer_cells(const LayerTime& layer, const Roofs& roofs, double all) {
  const double rate = static_cast<double>(layer.info.operations) / layer.seconds;
  const double roof = roofs.of(layer.info);
  const bool multiplies = layer.info.operations > 0;
  return {shortened(layer.info.name.empty() ? layer.info.kind : layer.info.name),
          layer.info.kind == layer.info.kernel
              ? layer.info.kernel
              : fmt::format("{}, {}", layer.info.kind, layer.info.kernel),
          layer.info.layout,
          fmt::format("{:.4f}", 1e3 * layer.seconds),
          multiplies ? fmt::format("{:.1f}", rate / 1e9) : "-",
          fmt::format("{:.1f}", static_cast<double>(layer.info.bytes) / layer.seconds / 1e9),
          fmt::format("{:.1f} %", 100 * layer.seconds / all),
          multiplies && roof > 0 ? fmt::format("{:.0f} %", 100 * rate / roof) : "-"};
}

}  // namespace

std::string variants_text(const std::vector<BenchResult>& results, bool colours) {
  TextTable table({"<model", "<dtype", "batch", "first result", "P50", "P90", "P99", "items/s",
                   "speed", "session", "weights", "peak"});
  const auto each = [](const BenchResult& result) {
    return percentile(result.seconds, 0.5) /
           static_cast<double>(std::max<int64_t>(result.batch, 1));
  };
  for (const BenchResult& result : results)
    table.add({result.name, dtype_name(result), std::to_string(result.batch),
               time_text(result.to_first_result()), time_text(percentile(result.seconds, 0.5)),
               time_text(percentile(result.seconds, 0.9)),
               time_text(percentile(result.seconds, 0.99)), fmt::format("{:.4g}", 1 / each(result)),
               fmt::format("{:.2f}x", each(results[0]) / each(result)),
               bytes_text(static_cast<double>(result.session_bytes)),
               bytes_text(static_cast<double>(result.weight_bytes)),
               bytes_text(static_cast<double>(result.peak_bytes))});
  return table.text(colours);
}

std::string roofs_text(const Roofs& roofs) {
  std::string text =
      fmt::format("roofs of {} thread{}:", roofs.threads, roofs.threads == 1 ? "" : "s");
  for (const auto& [type, rate] : roofs.operations)
    text += fmt::format(" {} {}op/s,",
                        type == DType::u8     ? "int8"
                        : type == DType::bf16 ? "bf16"
                                              : "fp32",
                        count_text(rate));
  return text + fmt::format(" memory {}/s\n", bytes_text(roofs.bytes));
}

std::string layers_text(const BenchResult& result, const Roofs& roofs, size_t most, bool colours) {
  std::vector<size_t> order(result.layers.size());
  std::iota(order.begin(), order.end(), 0);
  const bool all_shown = most >= order.size();
  if (!all_shown) {
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return result.layers[a].seconds > result.layers[b].seconds;
    });
    order.resize(most);
  }
  const double all = seconds_of_layers(result);
  double shown = 0;
  TextTable table({"<layer", "<kernel", "<layout", "ms", "GFLOP/s", "GB/s", "share", "of roof"});
  for (const size_t i : order) {
    shown += result.layers[i].seconds;
    table.add(layer_cells(result.layers[i], roofs, all));
  }
  const std::string which =
      all_shown ? fmt::format("{} layers", order.size())
                : fmt::format("the {} of {} layers that take the most time, {:.0f} % of it",
                              order.size(), result.layers.size(), 100 * shown / all);
  return fmt::format("{}: {}\n{}", bold(printable(title_of(result)), colours), which,
                     table.text(colours));
}

}  // namespace residua::app
