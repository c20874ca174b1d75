// The files of tests/runtime/fixtures, which the command's tests and the fuzz target read: that
// they are what the writers write now, so that files written before can be read.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "residua/graph/onnx/onnx.h"
#include "residua/io/npz.h"
#include "residua/runtime/plan_file.h"

namespace residua {
namespace {

// Says which of red, green and blue an image of 8 x 8 has most of.
Graph colours() {
  GraphBuilder b;
  const std::vector<float> unit{1, 0, 0, 0, 1, 0, 0, 0, 1}, ten{10, 0, 0, 0, 10, 0, 0, 0, 10};
  const ValueId x = b.input("image", DType::f32, {1, 3, 8, 8}, {{"batch"}});
  const ValueId same = b.add(op::Conv{}, {x, b.constant("unit", {3, 3, 1, 1}, unit)}, "same");
  const ValueId mean = b.add(op::Reduce{.kind = ReduceKind::mean, .axes = {2, 3}}, {same}, "mean");
  b.output("scores", b.add(op::Linear{}, {mean, b.constant("ten", {3, 3}, ten)}, "head"));
  b.graph().metadata = {{"mean", "0 0 0"}, {"stddev", "1 1 1"}, {"crop", "1"}};
  return b.finish();
}

PlanInfo colours_info(PlanDType dtype) {
  return {.options = {.dtype = dtype},
          .images =
              ImagePreprocessing{
                  .height = 8, .width = 8, .resize = 8, .mean = {0, 0, 0}, .stddev = {1, 1, 1}},
          .labels = {"red", "green", "blue"},
          .model = "colours"};
}

void write_fixtures(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  write_plan(folder / "colours.plan", colours(), colours_info(PlanDType::fp32));
  write_plan(folder / "colours_bf16.plan", colours(), colours_info(PlanDType::bf16));
  write_onnx(colours(), folder / "colours.onnx");
  std::vector<double> numbers(2 * 3 * 64);
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = i / 64 % 3 == i / 192 ? 0.5 : 0.25;
  const TensorView image{"image", DType::f64, {2, 3, 8, 8}, std::as_bytes(std::span(numbers))};
  write_npz(folder / "pixels.npz", std::vector{image});
}

// After a change of the form that is wanted: its version goes up, and the new files are copied.
TEST(RuntimeFixtures, AreWhatTheWritersWrite) {
  const std::filesystem::path stored =
      std::filesystem::path(RESIDUA_SOURCE_DIR) / "tests/runtime/fixtures";
  const std::filesystem::path written =
      std::filesystem::path(testing::TempDir()) / "residua_runtime_fixtures";
  write_fixtures(written);
  for (const char* name : {"colours.plan", "colours_bf16.plan", "colours.onnx", "pixels.npz"})
    EXPECT_EQ(read_file(stored / name), read_file(written / name)) << written / name;
}

}  // namespace
}  // namespace residua
