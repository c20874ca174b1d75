// bench_pages <folder>: writes pages of made-up benchmarks, for the checkers to open.

#include <filesystem>
#include <fstream>

#include "residua/runtime/bench_report.h"

namespace {

using namespace residua;

constexpr double kNone = 0;

LayerTime layer(std::string name, std::string kind, std::string kernel, double operations,
                double bytes, double seconds, DType arithmetic = DType::f32) {
  return {{.name = std::move(name),
           .kind = std::move(kind),
           .kernel = std::move(kernel),
           .layout = "F32 channels_last [1, 64, 56, 56]",
           .arithmetic = arithmetic,
           .operations = static_cast<int64_t>(operations),
           .bytes = static_cast<int64_t>(bytes)},
          seconds};
}

// A network of three kinds of convolutions, with reorders at its ends.
BenchResult network(const std::string& name, PlanDType dtype, int64_t batch) {
  const DType arithmetic = dtype == PlanDType::bf16 ? DType::bf16 : DType::f32;
  const double fast = (dtype == PlanDType::bf16 ? 2.0 : 1.0) / static_cast<double>(batch);
  BenchResult result{.name = name, .options = {.dtype = dtype}, .threads = 2, .batch = batch};
  result.layers.push_back(layer("conv1", "reorder", "jit:uni", kNone, 1.2e6, 4e-5 / fast));
  for (int i = 0; i < 24; ++i) {
    const double operations = i % 3 == 1 ? 1e7 : 2e8;
    const char* kernel = i % 3 == 0   ? "brgconv_1x1:avx512_core"
                         : i % 3 == 1 ? "brdgmm_dw:avx512_core"
                                      : "brgconv:avx512_core";
    result.layers.push_back(layer("block" + std::to_string(i / 3) + ".conv" + std::to_string(i % 3),
                                  "conv", kernel, operations / fast, 1e6 / fast,
                                  operations / (i % 3 == 1 ? 3e10 : 1.5e11 + 2e9 * i) / fast,
                                  arithmetic));
  }
  result.layers.push_back(layer("", "softmax", "softmax", kNone, 4e3, 2e-6));
  for (int i = 0; i < 40; ++i)
    result.seconds.push_back((0.02 + 0.0003 * (i * 7 % 11) + (i == 13 ? 0.02 : 0)) / fast);
  result.open_seconds = 0.03;
  result.compile_seconds = 0.08;
  result.first_seconds = 0.05;
  result.session_bytes = 4'000'000;
  result.weight_bytes = 46'000'000;
  result.peak_bytes = 160'000'000;
  return result;
}

// One layer, names that are markup, times and roofs that are nothing.
BenchResult odd_network() {
  BenchResult result{.name = "</script><b>&amp;" + std::string(200, 'n'), .batch = 0};
  result.layers.push_back(layer("</script><img src=x onerror=alert(1)>" + std::string(300, 'm'),
                                "<i>kind</i>", "\xff\xfe", kNone, kNone, kNone));
  result.seconds = {0.001};
  return result;
}

void write_page(const std::filesystem::path& path, const std::vector<BenchResult>& results,
                const Roofs& roofs, const std::string& title) {
  const Json machine{{"processor", "A processor of 2 cores"}, {"threads", 2}, {"memory", "8 GiB"}};
  std::ofstream(path, std::ios::binary)
      << bench_page(title, bench_to_json(results, {.warmup = 3, .repeat = 40}, roofs, machine));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::filesystem::path folder = argv[1];
  std::filesystem::create_directories(folder);
  const Roofs roofs{
      .threads = 2, .operations = {{DType::f32, 2.2e11}, {DType::bf16, 4.4e11}}, .bytes = 2e10};
  write_page(folder / "bench.html",
             {network("resnet50", PlanDType::fp32, 1), network("resnet50", PlanDType::bf16, 1),
              network("resnet50", PlanDType::fp32, 8)},
             roofs, "resnet50");
  write_page(folder / "hostile_bench.html", {odd_network()}, {}, "</script><b>title");
}
