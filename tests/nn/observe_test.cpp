#include "residua/nn/observe.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "residua/nn/linear.h"

namespace residua {
namespace {

TEST(ForwardObserver, HearsLayersOnlyWhileItLives) {
  const auto fc = linear(3, 2, {}, Random(1));
  int outer = 0, inner = 0;
  const at::Tensor x = at::ones({4, 3});
  fc->forward(x);
  {
    const ForwardObserver first(
        [&](const torch::nn::Module& layer, const at::Tensor& in, const at::Tensor& out) {
          EXPECT_EQ(&layer, fc.get());
          EXPECT_TRUE(in.is_same(x));
          EXPECT_EQ(out.sizes().vec(), (std::vector<int64_t>{4, 2}));
          ++outer;
        });
    fc->forward(x);
    {
      const ForwardObserver second([&](const auto&, const auto&, const auto&) { ++inner; });
      fc->forward(x);
    }
    fc->forward(x);
  }
  fc->forward(x);
  EXPECT_EQ(outer, 3);
  EXPECT_EQ(inner, 1);
}

}  // namespace
}  // namespace residua
