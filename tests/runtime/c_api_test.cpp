// The C interface: handles, statuses, sentences.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "residua/graph/graph_file.h"
#include "residua/runtime/residua.hpp"

namespace residua {
namespace {

std::string write_small_graph(const std::string& name) {
  GraphBuilder b;
  b.graph().symbols["batch"] = {1, 1, 16};
  const ValueId x = b.input("image", DType::f32, {1, 3, 4, 4}, {{"batch"}, {}, {}, {}});
  const ValueId w = b.constant("w", {5, 3, 1, 1}, std::vector<float>(15, 0.5f));
  b.output("map", b.add(op::Conv{}, {x, w}));
  const std::string path = testing::TempDir() + "/" + name;
  write_graph(path, b.finish());
  return path;
}

TEST(CInterface, RunsAModel) {
  const std::string path = write_small_graph("c_api.residua");
  EXPECT_EQ(residua_c_version(), RESIDUA_C_VERSION);
  const runtime::Model model(path, "threads=1 dtype=fp32");
  ASSERT_EQ(model.inputs().size(), 1u);
  EXPECT_EQ(model.inputs()[0].name, "image");
  EXPECT_EQ(model.inputs()[0].type, "F32");
  EXPECT_EQ(model.outputs()[0].sizes, (std::vector<int64_t>{1, 5, 4, 4}));
  runtime::Session session(model);
  const std::vector<float> x(48, 2);
  std::vector<float> y(80, 0);
  session.run({x.data()}, {y.data()});
  EXPECT_THAT(y, testing::Each(3.0f));
}

TEST(CInterface, RunsOtherSizes) {
  const runtime::Model model(write_small_graph("c_api_sizes.residua"));
  runtime::Session session(model, {{3, 3, 4, 4}});
  ASSERT_EQ(session.outputs().size(), 1u);
  EXPECT_EQ(session.outputs()[0].sizes, (std::vector<int64_t>{3, 5, 4, 4}));
  const std::vector<float> x(144, 2);
  std::vector<float> y(240, 0);
  session.run({x.data()}, {y.data()});
  EXPECT_THAT(y, testing::Each(3.0f));
  EXPECT_THROW(runtime::Session(model, {{1, 3, 5, 4}}), runtime::Failure);
  EXPECT_THROW(runtime::Session(model, {{17, 3, 4, 4}}), runtime::Failure);
  EXPECT_THROW(runtime::Session(model, {{1, 3, 4}}), runtime::Failure);
  EXPECT_THROW(runtime::Session(model, {}), runtime::Failure);
}

TEST(CInterface, TellsWhatFailed) {
  const std::string path = write_small_graph("c_api_fails.residua");
  residua_model* model = nullptr;
  EXPECT_EQ(residua_model_open("/nowhere/model", nullptr, &model), RESIDUA_NOT_FOUND);
  EXPECT_THAT(residua_last_error(), testing::HasSubstr("/nowhere/model"));
  EXPECT_EQ(model, nullptr);
  EXPECT_EQ(residua_model_open(path.c_str(), "thread=1", &model), RESIDUA_INVALID_ARGUMENT);
  EXPECT_THAT(residua_last_error(), testing::HasSubstr("threads"));
  EXPECT_EQ(residua_model_open(path.c_str(), nullptr, nullptr), RESIDUA_INVALID_ARGUMENT);
  EXPECT_EQ(residua_model_open(nullptr, nullptr, &model), RESIDUA_INVALID_ARGUMENT);
  const std::string broken = testing::TempDir() + "/c_api_broken.residua";
  std::ofstream(broken) << "no graph at all, only text";
  EXPECT_NE(residua_model_open(broken.c_str(), nullptr, &model), RESIDUA_OK);
  ASSERT_EQ(residua_model_open(path.c_str(), nullptr, &model), RESIDUA_OK);
  EXPECT_EQ(residua_model_input(model, 1, nullptr, nullptr, nullptr, nullptr),
            RESIDUA_INVALID_ARGUMENT);
  residua_session* session = nullptr;
  ASSERT_EQ(residua_session_new(model, &session), RESIDUA_OK);
  residua_model_free(model);  // the session keeps what it needs
  std::vector<float> x(48, 2), y(80);
  const void* inputs[] = {x.data()};
  void* outputs[] = {y.data()};
  EXPECT_EQ(residua_session_run(session, inputs, 2, outputs, 1), RESIDUA_INVALID_ARGUMENT);
  EXPECT_EQ(residua_session_run(session, inputs, 1, outputs, 1), RESIDUA_OK);
  residua_session_free(session);
  residua_session_free(nullptr);
  residua_model_free(nullptr);
}

}  // namespace
}  // namespace residua
