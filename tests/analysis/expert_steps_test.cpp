#include <gtest/gtest.h>
#include <torch/torch.h>

#include "residua/analysis/multirate_probes.h"

namespace residua {
namespace {

// Routers whose rows are unit vectors: an expert is chosen where its channel is largest.
TEST(ExpertSteps, PredictWithTheRouterOfTheBlockThatNeeds) {
  const at::Tensor router = torch::eye(4);
  const at::Tensor swapped = router.index_select(0, at::tensor({1, 0, 3, 2}));
  const at::Tensor state = torch::tensor({{9.0F, 0.0F, 1.0F, 0.0F}, {0.0F, 0.0F, 5.0F, 2.0F}});
  const at::Tensor guess = torch::tensor({{0.0F, 9.0F, 1.0F, 0.0F}, {0.0F, 0.0F, 5.0F, 2.0F}});
  const auto steps = expert_steps({state, state, state}, {guess, guess, at::Tensor()},
                                  {router, swapped, router}, 1, 1);
  ASSERT_EQ(steps.size(), 6U);  // two tokens of three blocks
  EXPECT_TRUE(steps[0].predicted.empty());
  EXPECT_EQ(steps[0].needed, (std::vector<int64_t>{0}));
  EXPECT_EQ(steps[1].needed, (std::vector<int64_t>{4 + 1}));     // channel 0 is row 1 there
  EXPECT_EQ(steps[1].predicted, (std::vector<int64_t>{4 + 0}));  // channel 1 is row 0
  EXPECT_EQ(steps[2].predicted, (std::vector<int64_t>{8 + 1}));
  EXPECT_EQ(steps[4].needed, steps[4].predicted);  // the second token is guessed
  // Two blocks ahead, and where nobody guesses.
  const auto ahead = expert_steps({state, state, state}, {guess, at::Tensor(), at::Tensor()},
                                  {router, router, router}, 1, 2);
  EXPECT_TRUE(ahead[1].predicted.empty());
  EXPECT_EQ(ahead[2].predicted, (std::vector<int64_t>{8 + 1}));
}

}  // namespace
}  // namespace residua
