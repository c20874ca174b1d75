// Every registered model as a graph: equal to eager, at its own batch and at another.
#include "residua/analysis/model_graph.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "residua/core/error.h"
#include "tests/models/model_list.h"
#include "tests/trace/eager.h"

namespace residua {
namespace {

class ModelGraph : public ::testing::TestWithParam<TinyModel> {};

TEST_P(ModelGraph, ComputesWhatTheModelDoes) {
  const TinyModel& tiny = GetParam();
  const auto model = tiny.make();
  model->eval();
  const at::NoGradGuard no_grad;
  Graph graph;
  try {
    graph = model_graph(*model, {.height = tiny.size, .width = tiny.size, .tokens = tiny.length});
  } catch (const Error& e) {
    ASSERT_EQ(e.kind(), ErrorKind::unsupported) << e.what();
    GTEST_SKIP() << e.what();
  }
  for (const int64_t batch : {1, 2}) {
    const at::Tensor x = tiny.inputs(batch);
    // 1e-4: single precision over some tens of layers.
    expect_near(interpret_tensor(with_sizes(graph, {{"batch", batch}}), x), model->forward(x),
                1e-4);
  }
}

INSTANTIATE_TEST_SUITE_P(, ModelGraph, ::testing::ValuesIn(tiny_models()),
                         [](const auto& i) { return std::to_string(i.index) + i.param.label(); });

}  // namespace
}  // namespace residua
