// Networks through plans and through ONNX Runtime by turns in one process, with the same number of
// threads, on the same images:
//
//   inference_vs_onnx_runtime [key=value...]
//     models=resnet18,vgg16      names of bench/networks.h, graph files or ONNX models; all eight
//     batches=1,8  threads=2     sizes and threads of both sides
//     rounds=10 runs=3           turns, and runs of each turn after one that warms up
//     types=fp32,bf16,int8       of ours; int8 only for networks of convolutions
//     json=FILE cache=FOLDER     everything measured; where measured kernel choices are kept
//
//     realtime=true              this process before all others while it measures
//
// Prints medians in ms (the least behind them), ratios of medians and their geometric means, and
// how far the scores are from ONNX Runtime's. Ours chooses kernels by measurement, Winograd's and
// fused blocks among them. The floor of a plan is the sum over its products of operations over the
// rate of one large convolution of the type, measured first, or bytes over bandwidth where that is
// more (threads * 75 GB/s while they fit the third cache, threads * 20 GB/s beyond); Winograd's
// convolutions need fewer operations and can go below it.
#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <sstream>
#include <thread>

#include "bench/networks.h"
#include "residua/core/json.h"
#include "residua/graph/onnx/onnx.h"
#include "residua/graph/passes/passes.h"
#include "residua/io/atomic_file.h"
#include "residua/runtime/session.h"
#include "tests/peers/onnx_runtime.h"

namespace residua::bench {
namespace {

struct Settings {
  std::vector<std::string> models = network_names(), types = {"fp32", "bf16", "int8"};
  std::vector<int64_t> batches = {1};
  int64_t threads = 2, rounds = 10, runs = 3;
  bool winograd = true, realtime = false;
  std::string json = {}, cache = {};
  void fields(Fields& f) {
    f.add("models", models, "names or files of networks");
    f.add("types", types, "element types of our plans: fp32, bf16, int8");
    f.add("batches", batches, "images at a time");
    f.add("threads", threads, "of both sides", {.min = 1});
    f.add("rounds", rounds, "turns of each side", {.min = 1});
    f.add("runs", runs, "runs of a turn that count", {.min = 1});
    f.add("winograd", winograd, "allow Winograd's convolutions");
    f.add("realtime", realtime, "run before all other processes while measuring");
    f.add("json", json, "file of everything measured");
    f.add("cache", cache, "folder of measured kernel choices");
  }
};

using Clock = std::chrono::steady_clock;

// One side of a comparison.
struct Side {
  std::string name;
  std::function<void()> run;
  std::vector<double> ms = {};
  double error = 0;  // of the scores, against ONNX Runtime's, relative to the largest
  double floor = 0;  // ms

  double quantile(double q) const {
    std::vector<double> sorted = ms;
    std::sort(sorted.begin(), sorted.end());
    return sorted[static_cast<size_t>(q * static_cast<double>(sorted.size() - 1))];
  }
};

// For as long as the object lives all threads of the process run before other processes.
class Realtime {
 public:
  explicit Realtime(bool wanted) : wanted_(wanted) { set(SCHED_FIFO, 1); }
  ~Realtime() { set(SCHED_OTHER, 0); }
  Realtime(const Realtime&) = delete;
  Realtime& operator=(const Realtime&) = delete;

 private:
  void set(int policy, int priority) const {
    if (!wanted_) return;
    const sched_param parameter{.sched_priority = priority};
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task"))
      if (::sched_setscheduler(std::stoi(task.path().filename()), policy, &parameter) != 0)
        throw std::runtime_error("realtime=true needs the right to set priorities");
  }
  bool wanted_;
};

// Threads of the side before spin for some milliseconds, which must not count.
void take_turns(std::vector<Side>& sides, const Settings& s) {
  const Realtime priority(s.realtime);
  for (int64_t round = 0; round < s.rounds; ++round)
    for (Side& side : sides) {
      std::this_thread::sleep_for(std::chrono::milliseconds(40));
      side.run();
      for (int64_t i = 0; i < s.runs; ++i) {
        const auto start = Clock::now();
        side.run();
        side.ms.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
      }
    }
}

std::vector<std::byte> zeros_of(const TensorType& type) {
  return std::vector<std::byte>(
      static_cast<size_t>(checked_bytes(type.shape, type.dtype, "output")));
}

// A plan with its memory.
struct Ours {
  std::shared_ptr<const Plan> plan;
  std::unique_ptr<Session> session;
  std::vector<std::vector<std::byte>> outputs;

  Ours(const Graph& graph, const PlanOptions& options)
      : plan(std::make_shared<const Plan>(graph, options)),
        session(std::make_unique<Session>(plan)) {
    for (const TensorType& type : plan->output_types()) outputs.push_back(zeros_of(type));
  }
  void run(const CalibrationSample& inputs) {
    std::vector<const void*> from;
    std::vector<void*> to;
    for (const TensorData& x : inputs) from.push_back(x.bytes.data());
    for (auto& y : outputs) to.push_back(y.data());
    session->run(from, to);
  }
};

double relative_error(const std::vector<std::byte>& expected, const std::vector<std::byte>& ours) {
  double most = 0, difference = 0;
  for (size_t i = 0; i + 4 <= expected.size(); i += 4) {
    float e = 0, r = 0;
    std::memcpy(&e, expected.data() + i, 4);
    std::memcpy(&r, ours.data() + i, 4);
    most = std::max(most, std::abs(static_cast<double>(e)));
    difference = std::max(difference, std::abs(static_cast<double>(e) - static_cast<double>(r)));
  }
  return difference / std::max(most, 1e-30);
}

// A file that is gone at the end, with the one of its external data.
struct TemporaryModel {
  std::string path =
      (std::filesystem::temp_directory_path() / fmt::format("residua_bench_{}.onnx", ::getpid()))
          .string();
  ~TemporaryModel() {
    std::error_code code;
    std::filesystem::remove(path, code);
    std::filesystem::remove(path + ".data", code);
  }
};

// Operations per second of one large 1x1 convolution, at best.
double peak_rate(const std::string& type, const Settings& s) {
  constexpr int64_t kWide = 512, kSide = 56;
  GraphBuilder b;
  const ValueId x = b.input("x", DType::f32, {1, kWide, kSide, kSide});
  ValueId y = x;
  for (int i = 0; i < 3; ++i)
    y = b.add(op::Conv{.activation = {UnaryKind::relu}},
              {y, b.constant("w", {kWide, kWide, 1, 1},
                             std::vector<float>(kWide * kWide, 1.0f / kWide))});
  b.output("y", y);
  Graph graph = b.finish();
  if (type == "int8") graph = integer_network(graph);
  PlanOptions options{.threads = s.threads};
  if (type == "bf16") options.dtype = PlanDType::bf16;
  Ours ours(graph, options);
  const CalibrationSample input = random_sample(graph, 1);
  std::vector<const void*> from{input[0].bytes.data()};
  std::vector<void*> to{ours.outputs[0].data()};
  double best = 0;
  ours.run(input);
  const Realtime priority(s.realtime);
  for (int run = 0; run < 12; ++run) {
    std::vector<double> seconds(ours.plan->layers().size(), 0);
    ours.session->run_timed(from, to, seconds);
    for (size_t i = 0; i < seconds.size(); ++i)
      if (ours.plan->layers()[i].kind == "conv")
        best = std::max(best, static_cast<double>(ours.plan->layers()[i].operations) / seconds[i]);
  }
  return best;
}

double floor_ms(const Plan& plan, double peak) {
  constexpr int64_t kThirdCache = 16 << 20;
  const double threads = plan.threads();
  double seconds = 0;
  for (const LayerInfo& layer : plan.layers()) {
    if (layer.operations == 0) continue;
    const double rate = threads * (layer.bytes < kThirdCache ? 75e9 : 20e9);
    seconds += std::max(static_cast<double>(layer.operations) / peak,
                        static_cast<double>(layer.bytes) / rate);
  }
  return 1e3 * seconds;
}

std::vector<Side> compare(const std::string& model, int64_t batch, const Settings& s,
                          const std::map<std::string, double>& peaks) {
  const Graph graph = load_network(model, batch);
  const CalibrationSample images = random_sample(graph, 7);
  Graph ready = graph;
  optimise(ready);
  const TemporaryModel file;
  write_onnx(graph, file.path);
  peers::OnnxRuntime peer(file.path, {.threads = static_cast<int>(s.threads)});
  std::vector<peers::PeerTensor> tensors;
  for (const TensorData& x : images)
    tensors.push_back({x.info.dtype, x.info.shape, {x.bytes.begin(), x.bytes.end()}});
  const auto expected = peer.run(tensors);
  std::vector<Side> sides{{"onnxruntime", [&] { peer.run_only(tensors); }}};
  std::vector<std::unique_ptr<Ours>> plans;
  for (const std::string& type : s.types) {
    if (type == "int8" && !is_convolutional(graph)) continue;
    PlanOptions options{.threads = s.threads,
                        .kernels = KernelChoice::measured,
                        .winograd = s.winograd,
                        .fused_blocks = true,
                        .cache = s.cache};
    if (type == "bf16") options.dtype = PlanDType::bf16;
    const Graph typed = type == "int8" ? integer_network(ready) : ready;
    const Realtime priority(s.realtime);  // kernels are measured
    plans.push_back(std::make_unique<Ours>(typed, options));
    Ours* ours = plans.back().get();
    sides.push_back({type, [ours, &images] { ours->run(images); }});
    ours->run(images);
    sides.back().error = relative_error(expected[0].bytes, ours->outputs[0]);
    sides.back().floor = floor_ms(*ours->plan, peaks.at(type));
  }
  take_turns(sides, s);
  return sides;
}

struct Means {
  double logarithms = 0, largest = 0;
  int count = 0;
  void add(double ratio) {
    logarithms += std::log(ratio);
    largest = std::max(largest, ratio);
    ++count;
  }
};

void print_row(const std::string& model, int64_t batch, const std::vector<Side>& sides,
               const Settings& s, std::map<std::pair<int64_t, std::string>, Means>& means) {
  const Side& peer = sides.front();
  std::string row = fmt::format("| {} | {} | {:.2f} ({:.2f}) |", model, batch, peer.quantile(0.5),
                                peer.quantile(0));
  for (const std::string& type : s.types) {
    const auto side =
        std::find_if(sides.begin(), sides.end(), [&](const Side& one) { return one.name == type; });
    if (side == sides.end()) {
      row += " | | | |";
      continue;
    }
    const double ratio = side->quantile(0.5) / peer.quantile(0.5);
    means[{batch, type}].add(ratio);
    row += fmt::format(" {:.2f} ({:.2f}) | {:.1f} | {:.3f} | {:.0e} |", side->quantile(0.5),
                       side->quantile(0), side->floor, ratio, side->error);
  }
  fmt::print("{}\n", row);
  std::fflush(stdout);
}

// "a,b" and 1 are lists too.
void make_list(Json& value) {
  if (value.is_array()) return;
  Json list = Json::array();
  if (value.is_number()) list.push_back(value);
  std::istringstream text(value.is_string() ? value.get<std::string>() : "");
  for (std::string part; std::getline(text, part, ',');)
    list.push_back(!part.empty() && part.find_first_not_of("0123456789") == std::string::npos
                       ? Json(std::stoll(part))
                       : Json(part));
  value = std::move(list);
}

Settings read_settings(int argc, char** argv) {
  Json values = Json::object();
  for (int i = 1; i < argc; ++i) merge_key_value(values, argv[i]);
  for (const char* key : {"models", "types", "batches"})
    if (values.contains(key)) make_list(values[key]);
  Settings s;
  assign(s, values, "settings");
  return s;
}

int run_all(int argc, char** argv) {
  const Settings s = read_settings(argc, argv);
  if (!peers::OnnxRuntime::library())
    throw std::runtime_error("ONNX Runtime is not installed: scripts/setup --bench");
  std::string head = "| model | batch | ONNX Runtime ms (least) |", rule = "| --- | ---: | ---: |";
  for (const std::string& type : s.types) {
    head += fmt::format(" {} ms (least) | floor | ratio | error |", type);
    rule += " ---: | ---: | ---: | ---: |";
  }
  fmt::print("ONNX Runtime {}, {} threads, medians of {} runs in {} turns\n",
             peers::OnnxRuntime::version(), s.threads, s.rounds * s.runs, s.rounds);
  std::map<std::string, double> peaks;
  for (const std::string& type : s.types) {
    peaks[type] = peak_rate(type, s);
    fmt::print("{}: {:.0f} G operations/s\n", type, 1e-9 * peaks[type]);
  }
  fmt::print("\n{}\n{}\n", head, rule);
  std::map<std::pair<int64_t, std::string>, Means> means;
  Json rows = Json::array();
  for (const int64_t batch : s.batches)
    for (const std::string& model : s.models) {
      const std::vector<Side> sides = compare(model, batch, s, peaks);
      print_row(model, batch, sides, s, means);
      Json row{{"model", model}, {"batch", batch}};
      for (const Side& side : sides)
        row[side.name] = {{"median_ms", side.quantile(0.5)},
                          {"least_ms", side.quantile(0)},
                          {"runs_ms", side.ms},
                          {"floor_ms", side.floor},
                          {"error", side.error}};
      rows.push_back(std::move(row));
    }
  fmt::print("\n");
  Json summary = Json::array();
  for (const auto& [key, m] : means) {
    const double mean = std::exp(m.logarithms / m.count);
    fmt::print("batch {}, {}: geometric mean of {} ratios {:.3f}, largest {:.3f}\n", key.first,
               key.second, m.count, mean, m.largest);
    summary.push_back({{"batch", key.first},
                       {"type", key.second},
                       {"models", m.count},
                       {"geometric_mean", mean},
                       {"largest", m.largest}});
  }
  const Json all{{"onnxruntime", peers::OnnxRuntime::version()},
                 {"settings", options_to_json(s)},
                 {"peaks", peaks},
                 {"models", rows},
                 {"means", summary}};
  if (!s.json.empty()) write_file_atomic(s.json, all.dump(1));
  return 0;
}

}  // namespace
}  // namespace residua::bench

int main(int argc, char** argv) {
  try {
    return residua::bench::run_all(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "inference_vs_onnx_runtime: {}\n", error.what());
    return 2;
  }
}
