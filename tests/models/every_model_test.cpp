// What every model must do, on tiny variants of all of them.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <filesystem>
#include <set>

#include "model_list.h"
#include "residua/core/error.h"
#include "residua/nn/state.h"

namespace residua {
namespace {

class EveryModel : public testing::TestWithParam<TinyModel> {
 protected:
  at::Tensor images(int64_t batch = 2, int64_t channels = 3) const {
    torch::manual_seed(7);
    return torch::randn({batch, channels, GetParam().size, GetParam().size});
  }
};

at::Tensor evaluated(Model& model, const at::Tensor& x) {
  const at::NoGradGuard no_grad;
  model.eval();
  return model.forward(x);
}

TEST(ModelList, HasEveryRegisteredModel) {
  std::set<std::string> tested;
  for (const TinyModel& model : tiny_models()) tested.insert(model.component.name);
  for (const std::string& name : models().list()) EXPECT_TRUE(tested.contains(name)) << name;
}

TEST_P(EveryModel, GivesFiniteLogits) {
  const auto model = GetParam().make();
  const at::Tensor y = model->forward(images());
  EXPECT_EQ(y.sizes().vec(), (std::vector<int64_t>{2, model->info().num_classes}));
  EXPECT_TRUE(y.isfinite().all().item<bool>());
}

TEST_P(EveryModel, EveryParameterHasAGradient) {
  const auto model = GetParam().make();
  model->forward(images(4)).square().sum().backward();
  for (const auto& p : model->named_parameters()) {
    ASSERT_TRUE(p.value().grad().defined()) << p.key();
    EXPECT_TRUE(p.value().grad().isfinite().all().item<bool>()) << p.key();
    if (!GetParam().dead_start) {
      EXPECT_GT(p.value().grad().abs().sum().item<double>(), 0) << p.key();
    }
  }
}

TEST_P(EveryModel, SavesAndLoadsToTheSameBits) {
  const std::string path = testing::TempDir() + GetParam().label() + ".safetensors";
  const auto saved = GetParam().make(1), loaded = GetParam().make(2);
  saved->forward(images());  // moves the running statistics
  save_weights(path, *saved);
  EXPECT_TRUE(load_weights(*loaded, *open_tensor_file(path)).complete());
  std::filesystem::remove(path);
  const NamedTensors expected = state_dict(*saved), received = state_dict(*loaded);
  ASSERT_EQ(expected.size(), received.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(expected[i].first, received[i].first);
    EXPECT_TRUE(expected[i].second.equal(received[i].second)) << expected[i].first;
  }
  EXPECT_TRUE(evaluated(*saved, images()).equal(evaluated(*loaded, images())));
}

TEST_P(EveryModel, FeaturesMatchTheirLevels) {
  const auto model = GetParam().make();
  const std::vector<at::Tensor> levels = model->features(images());
  ASSERT_EQ(levels.size(), model->info().levels.size());
  std::set<std::string> modules;
  for (const auto& m : model->named_modules()) modules.insert(m.key());
  for (size_t i = 0; i < levels.size(); ++i) {
    const FeatureLevel& level = model->info().levels[i];
    std::vector<int64_t> shape{2, level.channels};
    if (level.reduction > 0) shape.resize(4, GetParam().size / level.reduction);
    EXPECT_EQ(levels[i].sizes().vec(), shape) << level.name;
    EXPECT_TRUE(modules.contains(level.name)) << level.name;
  }
}

TEST_P(EveryModel, ResetsItsClassifier) {
  const auto model = GetParam().make();
  const NamedTensors before = state_dict(*model);
  model->reset_classifier(7, Random(3));
  EXPECT_EQ(model->info().num_classes, 7);
  EXPECT_EQ(model->forward(images()).size(1), 7);
  const NamedTensors after = state_dict(*model);
  ASSERT_EQ(before.size(), after.size());
  for (size_t i = 0; i < after.size(); ++i) {
    EXPECT_EQ(before[i].first, after[i].first);
    const bool is_classifier = after[i].first.starts_with(model->info().classifier + ".");
    EXPECT_EQ(after[i].second.is_same(before[i].second), !is_classifier) << after[i].first;
  }
  EXPECT_THROW(model->reset_classifier(0, Random(3)), Error);
  model->reset_classifier(1, Random(3));
  EXPECT_EQ(model->forward(images()).size(1), 1);
}

TEST_P(EveryModel, TakesOtherInputChannels) {
  const auto model = GetParam().with("in_channels", 1).make();
  EXPECT_TRUE(model->forward(images(2, 1)).isfinite().all().item<bool>());
}

TEST_P(EveryModel, RefusesWhatItCannotTake) {
  const auto model = GetParam().make();
  const std::vector<at::Tensor> wrong = {images(2, 4), torch::zeros({3, 32, 32}),
                                         torch::zeros({1, 3, 0, 8}),
                                         torch::zeros({1, 3, 32, 32}, torch::kByte), at::Tensor()};
  for (const at::Tensor& x : wrong) {
    try {
      model->forward(x);
      ADD_FAILURE() << "took a wrong input";
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::shape);
      EXPECT_NE(e.text().expected.find("[N, 3, H, W] with H "), std::string::npos) << e.what();
    }
  }
}

TEST_P(EveryModel, TakesItsSmallestInput) {
  const auto model = GetParam().make();
  const int64_t size = model->info().min_input;
  EXPECT_TRUE(evaluated(*model, torch::ones({1, 3, size, size})).isfinite().all().item<bool>());
}

TEST_P(EveryModel, EvaluatesDeterministically) {
  const auto model = GetParam().make();
  const at::Tensor first = evaluated(*model, images());
  EXPECT_TRUE(first.equal(evaluated(*model, images())));
}

TEST_P(EveryModel, ChannelsLastEqualsContiguous) {
  const auto model = GetParam().make();
  const at::Tensor expected = evaluated(*model, images());
  for (at::Tensor& p : model->parameters())
    if (p.dim() == 4) p.set_data(p.contiguous(at::MemoryFormat::ChannelsLast));
  const at::Tensor received =
      evaluated(*model, images().contiguous(at::MemoryFormat::ChannelsLast));
  const double scale = expected.abs().max().item<double>();
  // 1e-5: float32 sums in another order, measured below 3e-6.
  EXPECT_LE((expected - received).abs().max().item<double>(), 1e-5 * scale);
}

INSTANTIATE_TEST_SUITE_P(Tiny, EveryModel, testing::ValuesIn(tiny_models()),
                         [](const auto& info) { return info.param.label(); });

}  // namespace
}  // namespace residua
