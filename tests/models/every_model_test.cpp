// What every model must do, on tiny variants of all of them.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <filesystem>
#include <set>

#include "model_list.h"
#include "residua/core/error.h"
#include "residua/models/token_model.h"
#include "residua/nn/state.h"

namespace residua {
namespace {

class EveryModel : public testing::TestWithParam<TinyModel> {
 protected:
  at::Tensor inputs(int64_t batch = 2) const { return GetParam().inputs(batch); }
};

class EveryImageModel : public EveryModel {};
class EveryTokenModel : public EveryModel {};

std::vector<TinyModel> models_of(bool tokens) {
  std::vector<TinyModel> list = tiny_models();
  std::erase_if(list, [&](const TinyModel& m) { return (m.length > 0) != tokens; });
  return list;
}

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
  const at::Tensor y = model->forward(inputs());
  std::vector<int64_t> shape{2};
  if (model->info().takes_tokens()) shape.push_back(GetParam().length);
  shape.push_back(model->info().num_classes);
  EXPECT_EQ(y.sizes().vec(), shape);
  EXPECT_TRUE(y.isfinite().all().item<bool>());
}

TEST_P(EveryModel, EveryParameterHasAGradient) {
  const auto model = GetParam().make();
  model->forward(inputs(4)).square().sum().backward();
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
  saved->forward(inputs());  // moves the running statistics
  save_weights(path, *saved);
  EXPECT_TRUE(load_weights(*loaded, *open_tensor_file(path)).complete());
  std::filesystem::remove(path);
  const NamedTensors expected = state_dict(*saved), received = state_dict(*loaded);
  ASSERT_EQ(expected.size(), received.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(expected[i].first, received[i].first);
    EXPECT_TRUE(expected[i].second.equal(received[i].second)) << expected[i].first;
  }
  EXPECT_TRUE(evaluated(*saved, inputs()).equal(evaluated(*loaded, inputs())));
}

TEST_P(EveryModel, FeaturesMatchTheirLevels) {
  const auto model = GetParam().make();
  const std::vector<at::Tensor> levels = model->features(inputs());
  ASSERT_EQ(levels.size(), model->info().levels.size());
  std::set<std::string> modules;
  for (const auto& m : model->named_modules()) modules.insert(m.key());
  for (size_t i = 0; i < levels.size(); ++i) {
    const FeatureLevel& level = model->info().levels[i];
    std::vector<int64_t> shape{2, level.channels};
    if (model->info().takes_tokens())
      shape.insert(shape.begin() + 1, GetParam().length);
    else if (level.reduction > 0)
      shape.resize(4, GetParam().size / level.reduction);
    EXPECT_EQ(levels[i].sizes().vec(), shape) << level.name;
    EXPECT_TRUE(modules.contains(level.name)) << level.name;
  }
}

TEST_P(EveryModel, ResetsItsClassifier) {
  const auto model = GetParam().make();
  const NamedTensors before = state_dict(*model);
  model->reset_classifier(7, Random(3));
  EXPECT_EQ(model->info().num_classes, 7);
  EXPECT_EQ(model->forward(inputs()).size(-1), 7);
  const auto others = [&](NamedTensors all) {  // a tied classifier was none of its own before
    std::erase_if(all, [&](const auto& entry) {
      return entry.first.starts_with(model->info().classifier + ".");
    });
    return all;
  };
  const NamedTensors kept = others(state_dict(*model)), expected = others(before);
  EXPECT_GT(state_dict(*model).size(), kept.size());
  ASSERT_EQ(kept.size(), expected.size());
  for (size_t i = 0; i < kept.size(); ++i) {
    EXPECT_EQ(kept[i].first, expected[i].first);
    EXPECT_TRUE(kept[i].second.is_same(expected[i].second)) << kept[i].first;
  }
  EXPECT_THROW(model->reset_classifier(0, Random(3)), Error);
  model->reset_classifier(1, Random(3));
  EXPECT_EQ(model->forward(inputs()).size(-1), 1);
}

TEST_P(EveryImageModel, TakesOtherInputChannels) {
  const auto model = GetParam().with("in_channels", 1).make();
  EXPECT_TRUE(model->forward(torch::randn({2, 1, GetParam().size, GetParam().size}))
                  .isfinite()
                  .all()
                  .item<bool>());
}

TEST_P(EveryImageModel, RefusesWhatItCannotTake) {
  const auto model = GetParam().make();
  const std::vector<at::Tensor> wrong = {torch::zeros({2, 4, GetParam().size, GetParam().size}),
                                         torch::zeros({3, 32, 32}), torch::zeros({1, 3, 0, 8}),
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

TEST_P(EveryImageModel, TakesItsSmallestInput) {
  const auto model = GetParam().make();
  const int64_t size = model->info().min_input;
  EXPECT_TRUE(evaluated(*model, torch::ones({1, 3, size, size})).isfinite().all().item<bool>());
}

TEST_P(EveryModel, EvaluatesDeterministically) {
  const auto model = GetParam().make();
  const at::Tensor first = evaluated(*model, inputs());
  EXPECT_TRUE(first.equal(evaluated(*model, inputs())));
}

TEST_P(EveryImageModel, ChannelsLastEqualsContiguous) {
  const auto model = GetParam().make();
  const at::Tensor expected = evaluated(*model, inputs());
  for (at::Tensor& p : model->parameters())
    if (p.dim() == 4) p.set_data(p.contiguous(at::MemoryFormat::ChannelsLast));
  const at::Tensor received =
      evaluated(*model, inputs().contiguous(at::MemoryFormat::ChannelsLast));
  const double scale = expected.abs().max().item<double>();
  // 1e-5: float32 sums in another order, measured below 3e-6.
  EXPECT_LE((expected - received).abs().max().item<double>(), 1e-5 * scale);
}

TEST_P(EveryTokenModel, RefusesWhatItCannotTake) {
  const auto model = GetParam().make();
  const std::vector<at::Tensor> wrong = {
      torch::zeros({2, 7}, at::kLong), torch::zeros({2, 0}, at::kLong),
      torch::zeros({6}, at::kLong), torch::zeros({2, 6}), at::Tensor()};
  for (const at::Tensor& ids : wrong) {
    try {
      model->forward(ids);
      ADD_FAILURE() << "took a wrong input";
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::shape);
      EXPECT_NE(e.text().expected.find("[N, T] with T from 1 to 6"), std::string::npos) << e.what();
    }
  }
  for (const int64_t id : {-1, 11}) {
    try {
      model->forward(torch::full({1, 2}, id, at::kLong));
      ADD_FAILURE() << "took an id outside its vocabulary";
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::invalid_argument);
    }
  }
}

TEST_P(EveryTokenModel, ItsPartsMakeItsForward) {
  const auto model = GetParam().make();
  model->eval();
  TokenModel& parts = token_model(*model);
  const at::Tensor stream = parts.run_embeddings(parts.embed(inputs()));
  EXPECT_TRUE(parts.unembed(stream).equal(model->forward(inputs())));
  EXPECT_TRUE(model->features(inputs()).back().equal(stream));
}

TEST_P(EveryTokenModel, SeesOnlyTheTokensBefore) {
  const auto model = GetParam().make();
  const at::Tensor ids = inputs();
  at::Tensor changed = ids.clone();
  changed.select(1, 4).add_(1).remainder_(11);
  const at::Tensor a = evaluated(*model, ids), b = evaluated(*model, changed);
  EXPECT_TRUE(a.narrow(1, 0, 4).allclose(b.narrow(1, 0, 4), 1e-5, 1e-6));
  EXPECT_FALSE(a.narrow(1, 4, 1).allclose(b.narrow(1, 4, 1), 1e-5, 1e-6));
}

TEST_P(EveryTokenModel, DecodesAsItComputesWholeSequences) {
  const auto model = GetParam().make();
  TokenModel& tokens = token_model(*model);
  if (!tokens.decodes()) GTEST_SKIP() << "decodes whole sequences only";
  const at::Tensor ids = inputs(), expected = evaluated(*model, ids);
  const at::NoGradGuard no_grad;
  for (const std::vector<int64_t>& pieces :
       {std::vector<int64_t>{1, 1, 1, 1, 1, 1}, {3, 1, 2}, {6}}) {
    DecodeCache cache;
    std::vector<at::Tensor> logits;
    for (const int64_t piece : pieces)
      logits.push_back(tokens.decode(ids.narrow(1, cache.length, piece), cache));
    const double error = (at::cat(logits, 1) - expected).abs().max().item<double>();
    EXPECT_LE(error, 1e-5 * expected.abs().max().item<double>());  // float32 sums in another order
    EXPECT_EQ(cache.length, 6);
    EXPECT_THROW(tokens.decode(ids.narrow(1, 0, 1), cache), Error);
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, EveryModel, testing::ValuesIn(tiny_models()),
                         [](const auto& info) { return info.param.label(); });
INSTANTIATE_TEST_SUITE_P(Tiny, EveryImageModel, testing::ValuesIn(models_of(false)),
                         [](const auto& info) { return info.param.label(); });
INSTANTIATE_TEST_SUITE_P(Tiny, EveryTokenModel, testing::ValuesIn(models_of(true)),
                         [](const auto& info) { return info.param.label(); });

}  // namespace
}  // namespace residua
