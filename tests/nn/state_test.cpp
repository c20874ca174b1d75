#include "residua/nn/state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <filesystem>

#include "residua/core/error.h"
#include "residua/io/safetensors.h"
#include "residua/nn/batch_norm.h"
#include "residua/nn/conv.h"
#include "residua/nn/linear.h"

namespace residua {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// conv.weight [4, 3, 1, 1], norm.*, nested.fc.weight [2, 4], nested.fc.bias [2]
struct SmallNet : torch::nn::Module {
  explicit SmallNet(uint64_t seed) {
    register_module("conv", conv2d(3, 4, 1, {}, Random(seed)));
    register_module("norm", std::make_shared<BatchNorm2d>(4));
    const auto nested = register_module("nested", std::make_shared<torch::nn::Module>());
    nested->register_module("fc", linear(4, 2, {}, Random(seed)));
  }
};

class WeightFile : public testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(path_); }

  std::unique_ptr<TensorFile> write(const NamedTensors& tensors) {
    std::vector<at::Tensor> kept;
    std::vector<TensorView> views;
    for (const auto& [name, tensor] : tensors) {
      kept.push_back(tensor.detach().contiguous());
      views.push_back(to_view(name, kept.back()));
    }
    write_safetensors(path_, views);
    return open_tensor_file(path_);
  }

  const std::string path_ = testing::TempDir() + "state_test.safetensors";
};

NamedTensors renamed(const NamedTensors& state, const std::string& prefix) {
  NamedTensors result;
  for (const auto& [name, tensor] : state) result.emplace_back(prefix + name, tensor);
  return result;
}

void expect_equal_state(const torch::nn::Module& a, const torch::nn::Module& b) {
  const NamedTensors x = state_dict(a), y = state_dict(b);
  ASSERT_EQ(x.size(), y.size());
  for (size_t i = 0; i < x.size(); ++i) EXPECT_TRUE(x[i].second.equal(y[i].second)) << x[i].first;
}

TEST(StateDict, IsInPythonsOrder) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : state_dict(SmallNet(1))) names.push_back(name);
  EXPECT_THAT(names, ElementsAre("conv.weight", "norm.weight", "norm.bias", "norm.running_mean",
                                 "norm.running_var", "norm.num_batches_tracked", "nested.fc.weight",
                                 "nested.fc.bias"));
}

TEST_F(WeightFile, SavesWithMetadataAndLoads) {
  SmallNet saved(1), loaded(2);
  save_weights(path_, saved, {{"model", "small"}});
  const auto file = open_tensor_file(path_);
  EXPECT_EQ(file->metadata().at("model"), "small");
  const LoadReport report = load_weights(loaded, *file);
  EXPECT_EQ(report.loaded, 8);
  EXPECT_TRUE(report.complete());
  expect_equal_state(saved, loaded);
}

TEST_F(WeightFile, StripsThePrefixesOfWrappers) {
  for (const char* prefix : {"module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."}) {
    SmallNet saved(1), loaded(2);
    const LoadReport report = load_weights(loaded, *write(renamed(state_dict(saved), prefix)));
    EXPECT_EQ(report.stripped_prefix, prefix);
    expect_equal_state(saved, loaded);
  }
}

TEST_F(WeightFile, KeepsAPrefixThatTheModuleHasItself) {
  struct Wrapper : torch::nn::Module {
    explicit Wrapper(uint64_t seed) { register_module("module", std::make_shared<SmallNet>(seed)); }
  };
  Wrapper saved(1), loaded(2);
  EXPECT_EQ(load_weights(loaded, *write(state_dict(saved))).stripped_prefix, "");
  expect_equal_state(saved, loaded);
}

TEST_F(WeightFile, ConvertsOtherFloatingPointTypes) {
  for (const auto type : {at::kHalf, at::kBFloat16, at::kDouble}) {
    SmallNet saved(1), loaded(2);
    NamedTensors state;
    for (const auto& [name, tensor] : state_dict(saved))
      state.emplace_back(name, tensor.is_floating_point() ? tensor.to(type) : tensor);
    load_weights(loaded, *write(state));
    const NamedTensors result = state_dict(loaded);
    EXPECT_EQ(result[0].second.scalar_type(), at::kFloat);
    EXPECT_TRUE(result[0].second.equal(state[0].second.to(at::kFloat)));
  }
}

TEST_F(WeightFile, CountersOfBatchesMayBeMissing) {
  SmallNet saved(1), loaded(2);
  NamedTensors state = state_dict(saved);
  std::erase_if(state,
                [](const auto& entry) { return entry.first.ends_with("num_batches_tracked"); });
  EXPECT_EQ(load_weights(loaded, *write(state)).loaded, 7);
}

TEST_F(WeightFile, StrictLoadingNamesEveryKindOfDifferenceAndChangesNothing) {
  SmallNet saved(1), loaded(2);
  const SmallNet untouched(2);
  NamedTensors state = state_dict(saved);
  state[0].first = "convolution.weight";
  state[6].second = at::zeros({5, 4});
  try {
    load_weights(loaded, *write(state));
    FAIL() << "loaded a file that does not fit";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::not_found);
    EXPECT_THAT(e.what(), HasSubstr(path_));
    EXPECT_THAT(e.what(), HasSubstr("1 missing (conv.weight)"));
    EXPECT_THAT(e.what(), HasSubstr("1 unexpected (convolution.weight)"));
    EXPECT_THAT(e.what(), HasSubstr("nested.fc.weight: [5, 4] in the file, [2, 4] in the model"));
  }
  expect_equal_state(loaded, untouched);
}

TEST_F(WeightFile, DifferentShapesAloneAreAShapeError) {
  SmallNet saved(1), loaded(2);
  NamedTensors state = state_dict(saved);
  state[6].second = at::zeros({5, 4});
  try {
    load_weights(loaded, *write(state));
    FAIL() << "loaded a file that does not fit";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::shape);
  }
}

TEST_F(WeightFile, WithoutStrictnessLoadsWhatFits) {
  SmallNet saved(1), loaded(2);
  const SmallNet untouched(2);
  NamedTensors state = state_dict(saved);
  state[0].first = "convolution.weight";
  state[6].second = at::zeros({5, 4});
  state[7].second = at::ones({2});
  const LoadReport report = load_weights(loaded, *write(state), {.strict = false, .ignore = {}});
  EXPECT_EQ(report.loaded, 6);
  EXPECT_THAT(report.missing, ElementsAre("conv.weight"));
  EXPECT_THAT(report.unexpected, ElementsAre("convolution.weight"));
  ASSERT_EQ(report.mismatched.size(), 1u);
  EXPECT_EQ(report.mismatched[0].received, (Shape{5, 4}));
  EXPECT_THAT(report.text(), HasSubstr("6 tensors loaded\n1 missing (conv.weight)"));
  const NamedTensors now = state_dict(loaded), before = state_dict(untouched);
  EXPECT_TRUE(now[0].second.equal(before[0].second));
  EXPECT_TRUE(now[7].second.equal(at::ones({2})));
}

TEST_F(WeightFile, IgnoresTheNamesItIsTold) {
  SmallNet saved(1), loaded(2);
  NamedTensors state = state_dict(saved);
  state[0].first = "convolution.weight";
  const LoadReport report = load_weights(loaded, *write(state), {.ignore = {"conv*.weight"}});
  EXPECT_THAT(report.missing, IsEmpty());
  EXPECT_EQ(report.loaded, 7);
}

TEST_F(WeightFile, LongListsAreCounted) {
  SmallNet loaded(2);
  try {
    load_weights(loaded, *write({{"a", at::zeros({1})}}));
    FAIL() << "loaded a file that does not fit";
  } catch (const Error& e) {
    EXPECT_THAT(
        e.what(),
        HasSubstr("7 missing (conv.weight, norm.weight, norm.bias, norm.running_mean and 3 more)"));
  }
}

TEST(TensorBytes, AreSharedAndKept) {
  const auto owner = std::make_shared<std::vector<float>>(std::vector<float>{1, 2, 3, 4});
  const std::weak_ptr<std::vector<float>> alive = owner;
  at::Tensor tensor =
      to_tensor({{"x", DType::f32, {2, 2}}, owner, std::as_bytes(std::span(*owner))});
  EXPECT_EQ(tensor.data_ptr(), owner->data());
  EXPECT_EQ(tensor[1][0].item<float>(), 3);
  EXPECT_EQ(alive.use_count(), 2);
  tensor = {};
  EXPECT_EQ(alive.use_count(), 1);
}

TEST(TensorBytes, HaveNoUnsignedLongTypes) {
  const auto owner = std::make_shared<std::vector<uint64_t>>(1);
  EXPECT_THROW(to_tensor({{"x", DType::u64, {1}}, owner, std::as_bytes(std::span(*owner))}), Error);
}

}  // namespace
}  // namespace residua
