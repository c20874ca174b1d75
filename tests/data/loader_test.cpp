#include "residua/data/loader.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "residua/core/log.h"
#include "support.h"

namespace residua {
namespace {

using test::contains;
using test::counting_dataset;
using test::error_of;

AugmentOptions lively_augmentation() {
  return {.crop = CropKind::pad,
          .pad = 1,
          .flip = 0.5,
          .erase = {.probability = 0.5, .fill = EraseFill::noise}};
}

std::vector<Batch> all_batches(Loader& loader) {
  std::vector<Batch> batches;
  while (auto batch = loader.next()) batches.push_back(std::move(*batch));
  return batches;
}

void expect_equal(const std::vector<Batch>& a, const std::vector<Batch>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].indices, b[i].indices);
    EXPECT_EQ(a[i].number, b[i].number);
    EXPECT_TRUE(a[i].input.equal(b[i].input));
    EXPECT_TRUE(a[i].target.equal(b[i].target));
    EXPECT_TRUE(a[i].label.equal(b[i].label));
  }
}

class LoaderWorkers : public ::testing::TestWithParam<int64_t> {};

TEST_P(LoaderWorkers, GiveTheSameBatchesAndResumeExactly) {
  const auto dataset = counting_dataset(103);
  AugmentOptions augment = lively_augmentation();
  augment.mix = {.mixup = 0.2, .cutmix = 1};
  const Pipeline pipeline(dataset->info(), augment, Phase::train);
  Loader plain(dataset, pipeline, {.batch_size = 10, .workers = 0, .shuffle = true}, Random(7));
  Loader loader(dataset, pipeline,
                {.batch_size = 10, .workers = GetParam(), .prefetch = 3, .shuffle = true},
                Random(7));
  for (const int64_t epoch : {0, 1}) {
    plain.start(epoch);
    loader.start(epoch);
    const auto expected = all_batches(plain), received = all_batches(loader);
    ASSERT_EQ(expected.size(), 11u);
    EXPECT_EQ(expected.back().size(), 3);
    expect_equal(expected, received);

    loader.start(epoch, 4);
    expect_equal({expected.begin() + 4, expected.end()}, all_batches(loader));
  }
}

TEST_P(LoaderWorkers, StartAnewInMidEpoch) {
  const auto dataset = counting_dataset(60);
  const Pipeline pipeline(dataset->info(), lively_augmentation(), Phase::train);
  Loader loader(dataset, pipeline, {.batch_size = 7, .workers = GetParam(), .shuffle = true},
                Random(1));
  loader.start(3);
  const auto expected = all_batches(loader);
  for (int round = 0; round < 20; ++round) {
    loader.start(round);
    for (int i = 0; i < round % 5; ++i) loader.next();
  }
  loader.start(3);
  expect_equal(expected, all_batches(loader));
}

TEST_P(LoaderWorkers, ArePutToRestAtAnyMoment) {
  const auto dataset = counting_dataset(64);
  const Pipeline pipeline(dataset->info(), {}, Phase::train);
  for (int taken = 0; taken < 6; ++taken) {
    Loader loader(dataset, pipeline, {.batch_size = 4, .workers = GetParam(), .prefetch = 2},
                  Random(1));
    if (taken == 0) continue;  // never started
    loader.start(0);
    for (int i = 1; i < taken; ++i) ASSERT_TRUE(loader.next());
  }
}

// Some samples cannot be read.
class BrokenDataset final : public Dataset {
 public:
  BrokenDataset(std::shared_ptr<const Dataset> good, std::set<int64_t> broken, ErrorKind kind)
      : good_(std::move(good)), broken_(std::move(broken)), kind_(kind) {
    info_ = good_->info();
  }
  int64_t size() const override { return good_->size(); }
  int64_t label(int64_t index) const override { return good_->label(index); }
  std::string describe(int64_t index) const override { return "image " + std::to_string(index); }
  Sample get(int64_t index) const override {
    if (broken_.count(index)) throw Error(kind_, {.where = describe(index), .rule = "is damaged"});
    return good_->get(index);
  }

 private:
  std::shared_ptr<const Dataset> good_;
  std::set<int64_t> broken_;
  ErrorKind kind_;
};

TEST_P(LoaderWorkers, ThrowAtTheBatchOfTheCorruptSample) {
  const auto dataset = std::make_shared<BrokenDataset>(counting_dataset(40), std::set<int64_t>{17},
                                                       ErrorKind::corrupt_file);
  Loader loader(dataset, Pipeline(dataset->info(), {}, Phase::test),
                {.batch_size = 5, .workers = GetParam()}, Random(0));
  loader.start(0);
  for (int64_t number : {0, 1, 2}) EXPECT_EQ(loader.next()->number, number);
  const Error error = error_of([&] { loader.next(); });
  EXPECT_EQ(error.kind(), ErrorKind::corrupt_file);
  EXPECT_TRUE(contains(error.what(), "image 17")) << error.what();
  EXPECT_TRUE(contains(error.what(), "data.skip_corrupt=true")) << error.what();
  for (int64_t number : {4, 5, 6, 7}) EXPECT_EQ(loader.next()->number, number);
  EXPECT_FALSE(loader.next());
}

TEST_P(LoaderWorkers, SkipCorruptSamplesAndCountThem) {
  // Batch 2 loses one image, batch 4 all five.
  const auto dataset = std::make_shared<BrokenDataset>(
      counting_dataset(40), std::set<int64_t>{11, 20, 21, 22, 23, 24, 39}, ErrorKind::corrupt_file);
  std::vector<std::string> warnings;
  set_log_sink([&](LogLevel level, std::string_view message) {
    if (level == LogLevel::warning) warnings.emplace_back(message);
  });
  Loader loader(dataset, Pipeline(dataset->info(), {}, Phase::test),
                {.batch_size = 5, .workers = GetParam(), .prefetch = 8, .skip_corrupt = true},
                Random(0));
  loader.start(0);
  std::vector<int64_t> numbers, sizes, counts;
  while (auto batch = loader.next()) {
    EXPECT_EQ(batch->input.size(0), batch->size());
    EXPECT_EQ(batch->target.size(0), batch->size());
    for (int64_t i = 0; i < batch->size(); ++i) {
      EXPECT_EQ(batch->label[i].item<int64_t>(), dataset->label(batch->indices[i]));
      EXPECT_FLOAT_EQ(batch->input[i].flatten()[0].item<float>(),
                      static_cast<float>(7 * batch->indices[i] % 256) / 255);
    }
    numbers.push_back(batch->number);
    sizes.push_back(batch->size());
    counts.push_back(loader.skipped());
  }
  set_log_sink({});
  EXPECT_EQ(numbers, (std::vector<int64_t>{0, 1, 2, 3, 5, 6, 7}));
  EXPECT_EQ(sizes, (std::vector<int64_t>{5, 5, 4, 5, 5, 5, 4}));
  EXPECT_EQ(counts, (std::vector<int64_t>{0, 0, 1, 1, 6, 6, 7}));
  ASSERT_EQ(warnings.size(), 7u);
  EXPECT_TRUE(contains(warnings[0], "image 11")) << warnings[0];
}

TEST_P(LoaderWorkers, DoNotHideOtherFailures) {
  const auto dataset =
      std::make_shared<BrokenDataset>(counting_dataset(10), std::set<int64_t>{0}, ErrorKind::io);
  Loader loader(dataset, Pipeline(dataset->info(), {}, Phase::test),
                {.batch_size = 5, .workers = GetParam(), .skip_corrupt = true}, Random(0));
  loader.start(0);
  EXPECT_EQ(error_of([&] { loader.next(); }).kind(), ErrorKind::io);
}

INSTANTIATE_TEST_SUITE_P(Workers, LoaderWorkers, ::testing::Values(0, 1, 2, 5));

TEST(Loader, VisitsEverySampleOnceAndInAnotherOrderEachEpoch) {
  const auto dataset = counting_dataset(50);
  Loader loader(dataset, Pipeline(dataset->info(), {}, Phase::train),
                {.batch_size = 8, .shuffle = true}, Random(3));
  std::vector<std::vector<int64_t>> orders;
  for (int epoch = 0; epoch < 2; ++epoch) {
    loader.start(epoch);
    auto& order = orders.emplace_back();
    for (const Batch& batch : all_batches(loader))
      order.insert(order.end(), batch.indices.begin(), batch.indices.end());
    auto sorted = order;
    std::sort(sorted.begin(), sorted.end());
    for (int64_t i = 0; i < 50; ++i) ASSERT_EQ(sorted.at(static_cast<size_t>(i)), i);
    EXPECT_NE(order, sorted);
  }
  EXPECT_NE(orders[0], orders[1]);
}

TEST(Loader, AugmentationDependsOnTheSampleAndTheEpochOnly) {
  const auto dataset = counting_dataset(30, 8);
  const Pipeline pipeline(dataset->info(), lively_augmentation(), Phase::train);
  Loader shuffled(dataset, pipeline, {.batch_size = 30, .shuffle = true}, Random(5));
  Loader ordered(dataset, pipeline, {.batch_size = 4}, Random(5));
  shuffled.start(2);
  ordered.start(2);
  const Batch all = *shuffled.next();
  for (const Batch& batch : all_batches(ordered))
    for (int64_t i = 0; i < batch.size(); ++i) {
      const auto at =
          std::find(all.indices.begin(), all.indices.end(), batch.indices[i]) - all.indices.begin();
      EXPECT_TRUE(batch.input[i].equal(all.input[at]));
    }
  ordered.start(2);
  const Batch before = *ordered.next();
  ordered.start(3);
  EXPECT_FALSE(ordered.next()->input.equal(before.input));
}

TEST(Loader, ChannelsLastHoldsTheSameNumbers) {
  const auto dataset = counting_dataset(20, 8, 3);
  AugmentOptions augment = lively_augmentation();
  augment.mix = {.cutmix = 1};
  const Pipeline pipeline(dataset->info(), augment, Phase::train);
  Loader planar(dataset, pipeline, {.batch_size = 6}, Random(5));
  Loader last(dataset, pipeline, {.batch_size = 6, .channels_last = true}, Random(5));
  planar.start(0);
  last.start(0);
  const auto a = all_batches(planar), b = all_batches(last);
  expect_equal(a, b);
  EXPECT_TRUE(b[0].input.is_contiguous(at::MemoryFormat::ChannelsLast));
  EXPECT_TRUE(a[0].input.is_contiguous());
}

TEST(Loader, DropLastLeavesOutTheRest) {
  const auto dataset = counting_dataset(23);
  Loader loader(dataset, Pipeline(dataset->info(), {}, Phase::test),
                {.batch_size = 5, .drop_last = true}, Random(0));
  EXPECT_EQ(loader.batches_per_epoch(), 4);
  loader.start(0);
  EXPECT_EQ(all_batches(loader).size(), 4u);
}

TEST(Loader, MixedTargetsAreRowsThatSumToOne) {
  const auto dataset = counting_dataset(12, 8);
  AugmentOptions augment;
  augment.mix = {.mixup = 1};
  Loader loader(dataset, Pipeline(dataset->info(), augment, Phase::train), {.batch_size = 6},
                Random(0));
  loader.start(0);
  const Batch batch = *loader.next();
  EXPECT_EQ(batch.target.sizes(), (std::vector<int64_t>{6, 3}));
  EXPECT_TRUE(at::allclose(batch.target.sum(1), at::ones({6})));
  EXPECT_EQ(batch.label.scalar_type(), at::kLong);
}

TEST(Loader, RefusesWhatGivesNoBatch) {
  const auto dataset = counting_dataset(5);
  const Pipeline pipeline(dataset->info(), {}, Phase::test);
  const Error error =
      error_of([&] { Loader(dataset, pipeline, {.batch_size = 6, .drop_last = true}, Random(0)); });
  EXPECT_EQ(error.kind(), ErrorKind::invalid_argument);
  Loader loader(dataset, pipeline, {.batch_size = 2}, Random(0));
  EXPECT_EQ(error_of([&] { loader.start(0, 4); }).kind(), ErrorKind::invalid_argument);
  EXPECT_EQ(error_of([&] { loader.next(); }).kind(), ErrorKind::internal);
  loader.start(0, 3);
  EXPECT_FALSE(loader.next());
}

}  // namespace
}  // namespace residua
