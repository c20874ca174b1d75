// A traced graph, run by the reference interpreter, computes what the network computes.
#include "residua/trace/trace.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "residua/core/error.h"
#include "residua/graph/interpreter.h"
#include "tests/trace/eager.h"

namespace residua {
namespace {

using Tensors = std::vector<at::Tensor>;

Graph traced(const TracedFunction& f, const std::vector<SymbolRule>& axes,
             const std::map<std::string, Symbol>& symbols = {}, const NamedTensors& named = {}) {
  return trace(f, {{.axes = axes}}, symbols, named);
}

std::string refusal(const TracedFunction& f) {
  try {
    traced(f, {fixed(2), fixed(3)});
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::unsupported);
    return e.what();
  }
  return "nothing was refused";
}

TEST(Trace, NamesParametersAndNodes) {
  torch::nn::Sequential net(torch::nn::Linear(3, 4), torch::nn::Linear(4, 2));
  const Graph graph = traced([&](const Tensors& x) { return Tensors{net->forward(x[0])}; },
                             {fixed(2), fixed(3)}, {}, state_dict(*net));
  std::vector<std::string> constants, nodes;
  for (const Value& value : graph.values)
    if (value.constant) constants.push_back(value.name);
  for (const Node& node : graph.nodes)
    if (std::holds_alternative<op::Linear>(node.operation)) nodes.push_back(node.name);
  EXPECT_EQ(nodes, (std::vector<std::string>{"0", "1"}));
  for (const char* name : {"0.weight", "0.bias", "1.weight", "1.bias"})
    EXPECT_NE(std::find(constants.begin(), constants.end(), name), constants.end()) << name;
}

TEST(Trace, PointsIntoTheParameters) {
  torch::nn::Linear net(3, 4);
  const Graph graph = traced([&](const Tensors& x) { return Tensors{net->forward(x[0])}; },
                             {fixed(2), fixed(3)}, {}, state_dict(*net));
  for (const Value& value : graph.values)
    if (value.name == "weight")
      EXPECT_EQ(static_cast<const void*>(value.constant->bytes.data()), net->weight.data_ptr());
}

// Each of these computes from x [2, 3, 4, 5] by libtorch's operations alone.
const std::vector<std::pair<const char*, std::function<at::Tensor(const at::Tensor&)>>>&
functions() {
  static const std::vector<std::pair<const char*, std::function<at::Tensor(const at::Tensor&)>>>
      all{
          {"chunks",
           [](const at::Tensor& x) {
             return at::cat({x.chunk(2, 3)[1], x.chunk(2, 3)[0]}, 3);
           }},
          {"stack",
           [](const at::Tensor& x) {
             return at::stack({x, -x, x.square()}, 2);
           }},
          {"unbind", [](const at::Tensor& x) { return x.unbind(1)[2] - x.select(1, -1) * 2; }},
          {"repeat",
           [](const at::Tensor& x) {
             return x.repeat({2, 1, 1, 2, 1});
           }},
          {"expand",
           [](const at::Tensor& x) {
             return x.mean({2, 3}, true).expand_as(x) + 1;
           }},
          {"permute",
           [](const at::Tensor& x) {
             return x.permute({0, 2, 3, 1}).flatten(1, 2);
           }},
          {"softmax", [](const at::Tensor& x) { return x.softmax(1) + x.log_softmax(-1); }},
          {"statistics",
           [](const at::Tensor& x) {
             return x.var({1, 2}, false) + x.norm(2, {1, 2});
           }},
          {"spread", [](const at::Tensor& x) { return x.var(3, true, true) + x.amax({1}, true); }},
          {"scalars", [](const at::Tensor& x) { return 1 - x / 3 + at::rsub(x, 2, 3) + x.pow(2); }},
          {"activations",
           [](const at::Tensor& x) {
             return at::gelu(x) + at::silu(x) + at::elu(x) + x.sigmoid();
           }},
          {"more_activations",
           [](const at::Tensor& x) {
             return at::softplus(x) + at::leaky_relu(x, 0.2) + at::hardtanh(x, -0.5, 0.7) +
                    x.tanh();
           }},
          {"log_sigmoid",
           [](const at::Tensor& x) { return at::log_sigmoid(x) + at::hardsigmoid(x); }},
          {"clamp", [](const at::Tensor& x) { return x.clamp(-0.3, 0.4) + x.clamp_min(0.1); }},
          {"where",
           [](const at::Tensor& x) { return at::where(x > 0.1, x, -x).masked_fill(x < -1, 5); }},
          {"pools",
           [](const at::Tensor& x) {
             return at::max_pool2d(x, 2, 1) + at::avg_pool2d(x, 3, 1, 1).slice(2, 0, 3).slice(3, 1);
           }},
          {"adaptive",
           [](const at::Tensor& x) {
             return at::adaptive_avg_pool2d(x, {3, 2});
           }},
          {"pad",
           [](const at::Tensor& x) {
             return at::constant_pad_nd(x, {1, 2, 0, 1}, 0.5);
           }},
          {"in_place", [](const at::Tensor& x) { return (x + 1).relu_().add_(x, 2).mul_(0.5); }},
          {"products",
           [](const at::Tensor& x) {
             return at::matmul(x, x.transpose(2, 3)).flatten(0, 1).bmm(at::ones({6, 4, 2}));
           }},
          {"triangles",
           [](const at::Tensor& x) {
             return x + at::full({4, 5}, -2.0).triu(1) + at::ones({4, 5}).tril();
           }},
          {"lookups",
           [](const at::Tensor& x) {
             return x.index_select(1, at::tensor({2, 0, 2}, at::kLong)).cumsum(2);
           }},
          {"resize",
           [](const at::Tensor& x) {
             return at::upsample_bilinear2d(x, {7, 9}, false);
           }},
          {"bicubic",
           [](const at::Tensor& x) {
             return at::upsample_bicubic2d(x, {6, 4}, true);
           }},
          {"group_norm",
           [](const at::Tensor& x) {
             return at::group_norm(x, 3) + at::layer_norm(x, {4, 5});
           }},
      };
  return all;
}

class TraceFunctions : public ::testing::TestWithParam<size_t> {};

TEST_P(TraceFunctions, ComputeTheSame) {
  const auto& f = functions()[GetParam()].second;
  const Graph graph = traced([&](const Tensors& x) { return Tensors{f(x[0])}; },
                             {fixed(2), fixed(3), fixed(4), fixed(5)});
  const at::Tensor x = torch::randn({2, 3, 4, 5});
  EXPECT_LE(largest_error(interpret_tensor(graph, x), f(x)), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(, TraceFunctions, ::testing::Range<size_t>(0, functions().size()),
                         [](const auto& i) { return functions()[i.param].first; });

TEST(Trace, FollowsSymbols) {
  const auto f = [](const at::Tensor& x) {
    const at::Tensor y = at::avg_pool2d(x, 2).flatten(2).transpose(1, 2);  // [N, H W / 4, 3]
    const at::Tensor token = at::ones({1, 1, 3}).expand({x.size(0), -1, -1});
    return at::cat({token, y}, 1) + at::arange(3);
  };
  const Graph graph =
      traced([&](const Tensors& x) { return Tensors{f(x[0])}; },
             {{"batch"}, fixed(3), {"height"}, {"width"}},
             {{"batch", {.size = 1}}, {"height", {.size = 4}}, {"width", {.size = 6}}});
  const at::Tensor x = torch::randn({5, 3, 10, 7});
  const Graph larger = with_sizes(graph, {{"batch", 5}, {"height", 10}, {"width", 7}});
  EXPECT_LE(largest_error(interpret_tensor(larger, x), f(x)), 1e-5);
}

TEST(Trace, SaysWhatAGraphCannot) {
  EXPECT_NE(refusal([](const Tensors& x) {
              return Tensors{x[0].sum().item<double>() > 0 ? x[0] : -x[0]};
            }).find("depends on a number computed from the input"),
            std::string::npos);
  EXPECT_NE(refusal([](const Tensors& x) {
              const at::Tensor y = x[0] + 1;
              y.select(0, 0).mul_(2);
              return Tensors{y * 2};
            }).find("changed in place through another view"),
            std::string::npos);
  EXPECT_NE(refusal([](const Tensors& x) {
              return Tensors{at::fft_fft(x[0]).abs()};
            }).find("aten::fft_fft"),
            std::string::npos);
  EXPECT_NE(refusal([](const Tensors& x) {
              return Tensors{at::dropout(x[0], 0.5, true)};
            }).find("training mode"),
            std::string::npos);
}

// A copy by plain C++, as a kernel of one's own would make it.
at::Tensor copied_outside(const at::Tensor& x) {
  at::Tensor y = at::empty_like(x);
  std::copy_n(x.data_ptr<float>(), x.numel(), y.data_ptr<float>());
  return y;
}

TEST(Trace, RefusesWhatIsComputedOutsideOfLibtorch) {
  EXPECT_NE(refusal([](const Tensors& x) {
              return Tensors{copied_outside(x[0]) + x[0]};
            }).find("outside of libtorch"),
            std::string::npos);
  const auto constant = [](const Tensors& x) { return Tensors{x[0] + torch::tensor({1, 2, 3})}; };
  const Graph graph = traced(constant, {fixed(2), fixed(3)});
  const at::Tensor x = torch::randn({2, 3});
  EXPECT_LE(largest_error(interpret_tensor(graph, x), constant({x})[0]), 1e-6);
}

TEST(Trace, RefusesANetworkThatIsAnotherAtAnotherSize) {
  const auto f = [](const Tensors& x) {
    return Tensors{x[0].size(0) > 1 ? x[0].relu() : x[0].tanh()};
  };
  EXPECT_THROW(traced(f, {{"batch"}, fixed(3)}, {{"batch", {.size = 1}}}), Error);
  EXPECT_NO_THROW(traced(f, {{"batch"}, fixed(3)}, {{"batch", {.size = 2}}}));
}

}  // namespace
}  // namespace residua
