// Plan files: what is written runs alike when read again, and broken files are refused.
#include "residua/runtime/plan_file.h"

#include <gmock/gmock.h>

#include <cstring>
#include <filesystem>
#include <functional>

#include "residua/core/error.h"
#include "residua/core/log.h"
#include "residua/graph/graph_file.h"
#include "residua/graph/onnx/onnx.h"
#include "residua/io/atomic_file.h"
#include "residua/io/safetensors.h"
#include "residua/runtime/compiled_model.h"
#include "residua/runtime/residua.hpp"
#include "tests/runtime/plan_check.h"

namespace residua {
namespace {

std::string plan_path(const std::string& name) {
  return (std::filesystem::path(testing::TempDir()) / ("residua_plan_" + name)).string();
}

// A convolution with its norm, a pool and a linear map; the batch is open.
Graph small_network() {
  GraphBuilder b;
  const ValueId x = b.input("image", DType::f32, {1, 3, 16, 16}, {{"batch"}});
  const ValueId conv =
      b.add(op::Conv{.padding = {1, 1, 1, 1}}, {x, random_constant(b, {16, 3, 3, 3}, 1)}, "conv");
  const auto ones = [&](const char* name) {
    return b.constant(name, {16}, std::vector<float>(16, 1));
  };
  const ValueId norm =
      b.add(op::BatchNorm{}, {conv, ones("scale"), ones("shift"), ones("mean"), ones("var")});
  const ValueId relu = b.add(op::Unary{{UnaryKind::relu}}, {norm});
  const ValueId pool = b.add(op::Reduce{.kind = ReduceKind::mean, .axes = {2, 3}}, {relu});
  b.output("scores", b.add(op::Linear{}, {pool, random_constant(b, {5, 16}, 2)}, "head"));
  return b.finish();
}

ImagePreprocessing small_images() {
  return {.height = 16, .width = 16, .resize = 18, .mean = {0.1, 0.2, 0.3}, .stddev = {1, 2, 3}};
}

PlanInfo small_info(PlanDType dtype = PlanDType::fp32) {
  return {.options = {.dtype = dtype, .threads = 7, .winograd = true, .cache = "/nowhere"},
          .images = small_images(),
          .labels = {"zero", "one", "two", "three", "four"},
          .model = "small",
          .weights = "small.pth"};
}

std::vector<Numbers> outputs_of(const Graph& graph, const PlanOptions& options) {
  Session session(std::make_shared<const Plan>(graph, options));
  return run_plan(session, random_inputs(graph, 3));
}

TEST(PlanFile, KeepsWhatItIsGiven) {
  const std::string path = plan_path("round.plan");
  write_plan(path, small_network(), small_info());
  const PlanFile plan = read_plan(path);
  EXPECT_EQ(plan.info.options.dtype, PlanDType::fp32);
  EXPECT_TRUE(plan.info.options.winograd);
  EXPECT_EQ(plan.info.options.threads, 0);  // the user's
  EXPECT_EQ(plan.info.options.cache, "");
  EXPECT_EQ(plan.info.labels[4], "four");
  EXPECT_EQ(plan.info.model, "small");
  EXPECT_EQ(plan.info.weights, "small.pth");
  ASSERT_TRUE(plan.info.images);
  EXPECT_EQ(options_to_json(*plan.info.images), options_to_json(small_images()));
  EXPECT_EQ(plan.graph.nodes.size(), 3u) << to_text(plan.graph);  // norm and relu went into conv
  EXPECT_EQ(read_graph(path).nodes.size(), 3u);                   // a plan is a graph too
  const auto expected = interpret(small_network(), random_inputs(small_network(), 3));
  EXPECT_LT(relative_error(expected[0], outputs_of(plan.graph, {.threads = 1})[0]), kFp32);
}

TEST(PlanFile, WeightsOfBf16TakeHalfTheRoomAndGiveTheSameNumbers) {
  const std::string wide = plan_path("wide.plan"), narrow = plan_path("narrow.plan");
  write_plan(wide, small_network(), small_info());
  write_plan(narrow, small_network(), small_info(PlanDType::bf16));
  const PlanFile fp32 = read_plan(wide), bf16 = read_plan(narrow);
  const auto weight_bytes = [](const Graph& graph) {
    size_t bytes = 0;
    for (const Value& value : graph.values)
      if (value.constant && value.type.shape.size() > 1) bytes += value.constant->bytes.size();
    return bytes;
  };
  EXPECT_EQ(weight_bytes(fp32.graph), 2 * weight_bytes(bf16.graph));
  // Rounding first or when the plan is made: the same bits.
  const PlanOptions options{.dtype = PlanDType::bf16, .threads = 1};
  EXPECT_EQ(outputs_of(fp32.graph, options)[0].data, outputs_of(bf16.graph, options)[0].data);
  // In fp32 it is the rounded weights' network, by the same kernels.
  const PlanOptions exact{.threads = 1};
  const auto expected = interpret(bf16.graph, random_inputs(bf16.graph, 3));
  EXPECT_LT(relative_error(expected[0], outputs_of(bf16.graph, exact)[0]), kFp32);
  EXPECT_THAT(kernels_of(bf16.graph, exact), testing::Not(testing::HasSubstr("interpreter")));
  EXPECT_EQ(kernels_of(bf16.graph, options), kernels_of(fp32.graph, options));
}

TEST(PlanFile, AWeightThatOthersReadStaysExact) {
  GraphBuilder b;
  const ValueId x = b.input("x", DType::f32, {1, 4});
  const ValueId w = random_constant(b, {4, 4}, 9);
  const ValueId y = b.add(op::Linear{}, {x, w});
  b.output("y", b.add(op::Binary{.kind = BinaryKind::add}, {y, w}));
  const std::string path = plan_path("shared.plan");
  write_plan(path, b.finish(), {.options = {.dtype = PlanDType::bf16}});
  for (const Value& value : read_plan(path).graph.values)
    EXPECT_EQ(value.type.dtype, DType::f32) << value.name;
}

TEST(PlanFile, RefusesImagesThatDoNotFit) {
  PlanInfo info = small_info();
  info.images->height = 32;
  EXPECT_THROW(write_plan(plan_path("unfit.plan"), small_network(), info), Error);
  info.images = small_images();
  info.images->mean = {0.5};
  info.images->stddev = {0.5};
  EXPECT_THROW(write_plan(plan_path("unfit.plan"), small_network(), info), Error);
}

// --- hostile files

struct BrokenPlan {
  const char* name;
  std::function<void(Json&)> change;
  const char* reason;  // part of the sentence
  ErrorKind kind = ErrorKind::corrupt_file;
};

const std::vector<BrokenPlan> kBrokenPlans{
    {"no version", [](Json& p) { p.erase("version"); }, "lacks 'version'"},
    {"version of tomorrow", [](Json& p) { p["version"] = 2; }, "another version",
     ErrorKind::unsupported},
    {"version is text", [](Json& p) { p["version"] = "1"; }, "must be an integer"},
    {"a list", [](Json& p) { p = Json::array(); }, "must be an object"},
    {"unknown member", [](Json& p) { p["extra"] = 1; }, "unknown name"},
    {"unknown option", [](Json& p) { p["options"]["speed"] = 1; }, "speed"},
    {"options are a list", [](Json& p) { p["options"] = Json::array(); }, "options"},
    {"a cache folder", [](Json& p) { p["options"]["cache"] = "/etc"; }, "must not say 'cache'"},
    {"threads", [](Json& p) { p["options"]["threads"] = 4096; }, "must not say 'threads'"},
    {"unknown dtype", [](Json& p) { p["options"]["dtype"] = "fp8"; }, "dtype"},
    {"images are a number", [](Json& p) { p["images"] = 3; }, "images"},
    {"huge images", [](Json& p) { p["images"]["height"] = 1 << 20; }, "height"},
    {"another size of images", [](Json& p) { p["images"]["height"] = 17; }, "do not fit"},
    {"resize below the crop", [](Json& p) { p["images"]["resize"] = 3; }, "must fit"},
    {"a tiny crop fraction",
     [](Json& p) {
       p["images"]["resize"] = 0;
       p["images"]["crop_fraction"] = 1e-300;
     },
     "must fit"},
    {"crop fraction of 0", [](Json& p) { p["images"]["crop_fraction"] = 0; }, "crop_fraction"},
    {"stddev of 0",
     [](Json& p) {
       p["images"]["stddev"] = {1, 0, 1};
     },
     "stddev"},
    {"infinite mean",
     [](Json& p) {
       p["images"]["mean"] = {"inf", 0, 0};
     },
     "mean"},
    {"two channels",
     [](Json& p) {
       p["images"]["mean"] = {0, 0};
     },
     "mean"},
    {"no stddev", [](Json& p) { p["images"].erase("stddev"); }, "stddev"},
    {"unknown interpolation", [](Json& p) { p["images"]["interpolation"] = "sinc"; },
     "interpolation"},
    {"labels are text", [](Json& p) { p["labels"] = "cat"; }, "labels"},
    {"a label is a number", [](Json& p) { p["labels"][1] = 3; }, "must be text"},
    {"model is a list", [](Json& p) { p["model"] = Json::array(); }, "must be text"},
};

TEST(PlanFile, RefusesBrokenTextWithAReason) {
  const std::string path = plan_path("sound.plan");
  write_plan(path, small_network(), small_info());
  const auto sound = open_safetensors(path);
  std::vector<TensorView> tensors;
  std::vector<TensorData> owners;
  for (const TensorInfo& info : sound->tensors()) {
    owners.push_back(sound->read(info.name));
    tensors.push_back({info.name, info.dtype, info.shape, owners.back().bytes});
  }
  for (const BrokenPlan& broken : kBrokenPlans) {
    auto metadata = sound->metadata();
    Json json = parse_json(metadata.at(std::string(kPlanEntry)), "plan");
    broken.change(json);
    metadata[std::string(kPlanEntry)] = json.dump();
    const std::string changed = plan_path("broken.plan");
    write_safetensors(changed, tensors, metadata);
    try {
      read_plan(changed);
      ADD_FAILURE() << broken.name << " was not refused";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), broken.kind) << broken.name << ": " << error.what();
      EXPECT_THAT(error.what(), testing::HasSubstr(broken.reason)) << broken.name;
      EXPECT_THAT(error.what(), testing::HasSubstr(changed)) << broken.name;
    }
  }
  auto metadata = sound->metadata();
  metadata[std::string(kPlanEntry)] = std::string(100'000, '[');
  write_safetensors(plan_path("deep.plan"), tensors, metadata);
  EXPECT_THROW(read_plan(plan_path("deep.plan")), Error);
}

TEST(PlanFile, EveryTruncationIsRefused) {
  const std::string path = plan_path("whole.plan");
  write_plan(path, small_network(), small_info(PlanDType::bf16));
  const auto bytes = read_file(path);
  for (size_t size = 0; size < bytes.size(); size += size < 64 ? 1 : 97) {
    const std::vector<std::byte> part(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_THROW(parse_plan(own_bytes(part), "part"), Error) << size;
  }
}

// Operators of several kinds, each with settings that can be wrong.
Graph varied_network() {
  GraphBuilder b;
  const ValueId x = b.input("image", DType::f32, {1, 4, 8, 8}, {{"batch"}});
  ValueId y = b.add(op::Conv{.stride = {2, 2}, .padding = {1, 1, 1, 1}, .groups = 2},
                    {x, random_constant(b, {8, 2, 3, 3}, 1)});
  y = b.add(op::Pool{.kernel = {2, 2}, .stride = {1, 1}, .padding = {0, 0, 1, 1}}, {y});
  y = b.add(op::Pad{.padding = {0, 0, 0, 1, 0, 0, 1, 0}}, {y});
  const ValueId part = b.add(op::Slice{.axis = 1, .start = 2, .end = 8, .step = 2}, {y});
  y = b.add(op::Concat{.axis = 1}, {y, part});
  y = b.add(op::Transpose{.order = {0, 2, 3, 1}}, {y});
  y = b.add(op::Softmax{.axis = -1}, {y});
  y = b.add(op::Reduce{.kind = ReduceKind::mean, .axes = {1, 2}}, {y});
  b.output("scores", b.add(op::Linear{}, {y, random_constant(b, {5, 11}, 2)}));
  return b.finish();
}

void collect_numbers(Json& json, std::vector<Json*>& numbers) {
  if (json.is_number()) numbers.push_back(&json);
  if (json.is_structured())
    for (auto& item : json) collect_numbers(item, numbers);
}

void compile_and_run(const PlanFile& file) {
  int64_t elements = 0;
  for (const Value& value : file.graph.values) {
    elements += std::min<int64_t>(checked_numel(value.type.shape, "test"), 1 << 20);
    if (elements > (1 << 20)) return;
  }
  PlanOptions options = file.info.options;
  options.threads = 1;
  Session session(std::make_shared<const Plan>(file.graph, options));
  run_plan(session, random_inputs(file.graph, 1));
}

// The file with another text of its graph.
OwnedBytes with_graph(std::span<const std::byte> file, Json header, const std::string& graph) {
  uint64_t size = 0;
  std::memcpy(&size, file.data(), sizeof size);
  const auto data = file.subspan(sizeof size + size);
  header["__metadata__"][std::string(kGraphEntry)] = graph;
  const std::string text = header.dump();
  size = text.size();
  std::vector<std::byte> bytes(sizeof size);
  std::memcpy(bytes.data(), &size, sizeof size);
  const auto words = std::as_bytes(std::span(text));
  bytes.insert(bytes.end(), words.begin(), words.end());
  bytes.insert(bytes.end(), data.begin(), data.end());
  return own_bytes(std::move(bytes));
}

// Whole numbers of the graph become others: what still reads is compiled and run, or refused.
TEST(PlanFile, WrongNumbersAreRefusedOrRun) {
  const std::string path = plan_path("varied.plan");
  write_plan(path, varied_network(), {.options = {.dtype = PlanDType::fp32}});
  const auto file = read_file(path);
  const Json graph =
      parse_json(open_safetensors(path)->metadata().at(std::string(kGraphEntry)), "graph");
  uint64_t size = 0;
  std::memcpy(&size, file.data(), sizeof size);
  const Json header =
      parse_json({reinterpret_cast<const char*>(file.data()) + sizeof size, size}, "header");
  const std::vector<int64_t> wrong{-1, 0, 1, 2, 3, 4, 7, 8, 9, 64, 1 << 20, INT32_MAX, INT64_MIN};
  Random random(3);
  int ran = 0, refused = 0;
  for (int i = 0; i < 1000; ++i) {
    Json other = graph;
    std::vector<Json*> numbers;
    collect_numbers(other, numbers);
    const auto pick = [&](size_t count) {
      return static_cast<size_t>(random.integer(0, static_cast<int64_t>(count)));
    };
    const size_t changes = 1 + pick(2);
    for (size_t change = 0; change < changes; ++change)
      *numbers[pick(numbers.size())] = wrong[pick(wrong.size())];
    try {
      compile_and_run(parse_plan(with_graph(file, header, other.dump()), "changed"));
      ++ran;
    } catch (const Error& error) {
      ASSERT_NE(error.kind(), ErrorKind::internal) << error.what() << "\n" << other.dump(1);
      ++refused;
    }
  }
  EXPECT_GT(ran, 20);
  EXPECT_GT(refused, 20);
}

// --- opening

TEST(ModelFile, TellsFormatsApartByContent) {
  const std::string plan = plan_path("a_model"), graph = plan_path("b_model"),
                    onnx = plan_path("c_model");
  write_plan(plan, small_network(), small_info());
  write_graph(graph, small_network());
  write_onnx(small_network(), onnx);
  EXPECT_EQ(read_model(plan).kind, ModelKind::plan);
  EXPECT_EQ(read_model(graph).kind, ModelKind::graph);
  EXPECT_EQ(read_model(onnx).kind, ModelKind::onnx);
  const std::vector<float> image(3 * 16 * 16, 0.5f);
  std::vector<float> first(5), scores(5);
  for (const std::string& path : {plan, graph, onnx}) {
    const runtime::Model model(path, "threads=1 winograd=false");
    runtime::Session session(model);
    session.run({image.data()}, {scores.data()});
    if (path == plan) first = scores;
    for (size_t i = 0; i < 5; ++i) EXPECT_NEAR(scores[i], first[i], 1e-5) << path;
  }
  const std::string text = plan_path("text");
  write_file_atomic(text, "only some words");
  try {
    read_model(text);
    FAIL() << "was not refused";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::unsupported);
    EXPECT_THAT(error.what(), testing::HasSubstr("a plan, a graph or an ONNX model"));
  }
}

TEST(ModelFile, TheCallersOptionsOverrideTheFiles) {
  const std::string path = plan_path("options.plan");
  write_plan(path, small_network(), small_info());
  const ModelFile file = read_model(path);
  EXPECT_TRUE(plan_options(file, Json::object()).winograd);
  const PlanOptions set = plan_options(file, {{"winograd", false}, {"threads", 3}});
  EXPECT_FALSE(set.winograd);
  EXPECT_EQ(set.threads, 3);
  EXPECT_THROW(plan_options(file, {{"speed", 3}}), Error);
  CompiledModel model(file, plan_options(file, {{"threads", 1}}));
  const std::vector<float> image(2 * 3 * 16 * 16, 0.5f);
  const TensorData x{
      {"image", DType::f32, {2, 3, 16, 16}}, nullptr, std::as_bytes(std::span(image))};
  EXPECT_EQ(model.run(std::vector{x})[0].info.shape, (Shape{2, 5}));
}

// The processor of the test may have the instructions or not; what is said must fit.
TEST(ModelFile, Bf16NeedsItsInstructions) {
  const std::string path = plan_path("bf16.plan");
  write_plan(path, small_network(), small_info(PlanDType::bf16));
  const ModelFile file = read_model(path);
  std::string logged;
  set_log_sink([&](LogLevel, std::string_view message) { logged += message; });
  const PlanDType dtype = plan_options(file, Json::object()).dtype;
  set_log_sink({});
  if (has_bf16_instructions()) {
    EXPECT_EQ(dtype, PlanDType::bf16);
    EXPECT_EQ(logged, "");
    EXPECT_EQ(plan_options(file, {{"dtype", "bf16"}}).dtype, PlanDType::bf16);
  } else {
    EXPECT_EQ(dtype, PlanDType::fp32);
    EXPECT_THAT(logged, testing::HasSubstr("runs in fp32"));
    EXPECT_THROW(plan_options(file, {{"dtype", "bf16"}}), Error);
  }
  EXPECT_EQ(plan_options(file, {{"dtype", "fp32"}}).dtype, PlanDType::fp32);
}

}  // namespace
}  // namespace residua
