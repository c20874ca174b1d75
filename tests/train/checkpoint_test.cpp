#include "residua/train/checkpoint_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <torch/torch.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "residua/core/error.h"
#include "residua/core/log.h"
#include "residua/io/atomic_file.h"
#include "tests/train/tiny_run.h"

namespace residua {
namespace {

namespace fs = std::filesystem;
using test::TemporaryFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

CheckpointContent some_content(int64_t step, int64_t numbers = 64) {
  const auto value = static_cast<double>(step);
  CheckpointContent c{.step = step,
                      .model = {},
                      .optimizer = {},
                      .ema = {},
                      .configuration = {},
                      .data = {},
                      .state = {},
                      .metrics = {}};
  c.model = {{"conv.weight", torch::full({numbers / 4, 2, 2}, value)},
             {"bn.num_batches_tracked", torch::tensor(step)}};
  c.optimizer = {{"conv.weight.momentum", torch::full({numbers}, -value)}};
  c.ema = {{"conv.weight", torch::full({numbers}, value / 2)}};
  c.configuration = {{"model", {{"name", "tiny"}}}};
  c.state = {{"epoch", 1}, {"seconds", 0.1 * value}};
  c.metrics = {{"top1", 0.5}};
  return c;
}

struct Warnings {
  std::string text;
  Warnings() {
    set_log_sink([this](LogLevel level, std::string_view message) {
      if (level == LogLevel::warning) text += message;
    });
  }
  ~Warnings() { set_log_sink({}); }
};

double loaded_value(const Checkpoint& c) {
  return read_tensors(*c.model).front().second.to(at::kDouble).mean().item<double>();
}

TEST(Checkpoint, ReadsBackWhatWasSaved) {
  const TemporaryFolder folder;
  CheckpointStore store(folder.path("checkpoints"), 2);
  CheckpointContent content = some_content(7);
  // Strides of their own must not show in the file.
  const at::Tensor image = torch::rand({2, 3, 4, 5}).contiguous(at::MemoryFormat::ChannelsLast);
  content.model.emplace_back("filter", image);
  const Checkpoint c = load_checkpoint(store.save(content, true));
  EXPECT_EQ(c.step(), 7);
  EXPECT_EQ(c.configuration(), content.configuration);
  EXPECT_EQ(c.manifest.at("state"), content.state);
  EXPECT_EQ(c.manifest.at("metrics"), content.metrics);
  for (const auto& [name, tensor] : read_tensors(*c.model)) {
    const auto saved = std::find_if(content.model.begin(), content.model.end(),
                                    [&](const auto& p) { return p.first == name; });
    ASSERT_NE(saved, content.model.end()) << name;
    EXPECT_TRUE(tensor.equal(saved->second)) << name;
  }
  EXPECT_EQ(&c.evaluated_weights(), c.ema.get());
}

TEST(CheckpointStore, KeepsTheNewestAndTheBest) {
  const TemporaryFolder folder;
  CheckpointStore store(folder.path("checkpoints"), 2);
  for (const int64_t step : {10, 20, 30, 40}) store.save(some_content(step), step == 10);
  EXPECT_THAT(store.names(), ElementsAre("step-0000000010", "step-0000000030", "step-0000000040"));
  const Json index = Json::parse(test::read_text(folder.path("checkpoints/index.json")));
  EXPECT_EQ(index, (Json{{"last", "step-0000000040"}, {"best", "step-0000000010"}}));
  EXPECT_EQ(store.load_newest()->step(), 40);
  store.save(some_content(50), true);
  EXPECT_THAT(store.names(), ElementsAre("step-0000000040", "step-0000000050"));
}

TEST(CheckpointStore, SameStepAgainIsALaterCheckpoint) {
  const TemporaryFolder folder;
  CheckpointStore store(folder.path("checkpoints"), 3);
  store.save(some_content(10), false);
  EXPECT_THAT(store.save(some_content(10), false), HasSubstr("step-0000000010-2"));
  EXPECT_THAT(store.load_newest()->path, HasSubstr("step-0000000010-2"));
}

TEST(FindCheckpoint, ResolvesRunsAndNames) {
  const TemporaryFolder folder;
  const std::string checkpoints = folder.path("checkpoints");
  CheckpointStore store(checkpoints, 3);
  store.save(some_content(10), true);
  store.save(some_content(20), false);
  const std::string best = checkpoints + "/step-0000000010",
                    last = checkpoints + "/step-0000000020";
  EXPECT_EQ(find_checkpoint(folder.path()), best);
  EXPECT_EQ(find_checkpoint(checkpoints), best);
  EXPECT_EQ(find_checkpoint(folder.path("last")), last);
  EXPECT_EQ(find_checkpoint(folder.path("best")), best);
  EXPECT_EQ(find_checkpoint(last), last);
  EXPECT_EQ(find_checkpoint(last + "/weights.safetensors"), std::nullopt);
  EXPECT_EQ(find_checkpoint(folder.path("missing")), std::nullopt);
  fs::remove(checkpoints + "/index.json");  // only a convenience
  EXPECT_EQ(find_checkpoint(folder.path()), last);
  fs::create_directory(folder.path("empty"));
  EXPECT_THROW(find_checkpoint(folder.path("empty")), Error);
}

class BrokenCheckpoint : public ::testing::TestWithParam<std::string> {};

TEST_P(BrokenCheckpoint, IsNamedAndTheOneBeforeIsTaken) {
  const std::string file = GetParam();
  const auto damages = std::vector<std::pair<std::string, std::function<void(const std::string&)>>>{
      {"truncated",
       [](const std::string& path) { fs::resize_file(path, fs::file_size(path) / 2); }},
      {"empty", [](const std::string& path) { fs::resize_file(path, 0); }},
      {"longer", [](const std::string& path) { std::ofstream(path, std::ios::app) << " x"; }},
      {"one bit",
       [](const std::string& path) {
         std::string bytes = test::read_text(path);
         bytes[bytes.size() * 2 / 3] ^= 1;
         std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
       }},
      {"missing", [](const std::string& path) { fs::remove(path); }},
  };
  for (const auto& [what, damage] : damages) {
    SCOPED_TRACE(what);
    const TemporaryFolder folder;
    CheckpointStore store(folder.path("checkpoints"), 3);
    store.save(some_content(10), false);
    const std::string newest = store.save(some_content(20), false);
    damage(newest + "/" + file);
    Warnings warnings;
    const auto found = CheckpointStore(folder.path("checkpoints"), 3).load_newest();
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(loaded_value(*found), 10);
    // Without its manifest a folder is no checkpoint, so there is nothing to warn of.
    if (file == "manifest.json" && what == "missing") continue;
    EXPECT_THAT(warnings.text, HasSubstr(newest + "/" + file));
    try {
      load_checkpoint(newest);
      ADD_FAILURE() << "was loaded";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::corrupt_file);
      EXPECT_THAT(error.what(), HasSubstr(newest + "/" + file));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Files, BrokenCheckpoint,
                         ::testing::Values("weights.safetensors", "optimizer.safetensors",
                                           "ema.safetensors", "manifest.json"),
                         [](const auto& info) {
                           return info.param.substr(0, info.param.find('.'));
                         });

TEST(CheckpointStore, OnlyBrokenOnesIsTheNewestsError) {
  const TemporaryFolder folder;
  CheckpointStore store(folder.path("checkpoints"), 3);
  const std::string path = store.save(some_content(10), false);
  fs::resize_file(path + "/weights.safetensors", 10);
  EXPECT_THROW(store.load_newest(), Error);
  EXPECT_FALSE(CheckpointStore(folder.path("nothing"), 3).load_newest().has_value());
}

TEST(CheckpointStore, GoingOnFromAnOlderOneGivesUpTheBrokenFuture) {
  const TemporaryFolder folder;
  CheckpointStore store(folder.path("checkpoints"), 1);
  store.save(some_content(10), false);
  const std::string broken = store.save(some_content(20), false);
  fs::copy(broken, folder.path("checkpoints/step-0000000010"),
           fs::copy_options::recursive);  // an older one to fall to
  fs::resize_file(broken + "/weights.safetensors", 10);
  const Warnings warnings;
  ASSERT_TRUE(store.load_newest().has_value());
  store.save(some_content(15), false);
  EXPECT_THAT(store.names(), ElementsAre("step-0000000015"));
}

TEST(Checkpoint, NewerFormatIsUnsupported) {
  const TemporaryFolder folder;
  CheckpointStore store(folder.path("checkpoints"), 3);
  const std::string path = store.save(some_content(10), false);
  Json manifest = Json::parse(test::read_text(path + "/manifest.json"));
  manifest["version"] = 99;
  std::ofstream(path + "/manifest.json") << manifest.dump();
  try {
    load_checkpoint(path);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::unsupported);
  }
}

// Every write, sync and rename of a save fails in turn: what was complete stays, and the next save
// succeeds.
TEST(CheckpointFault, AtEveryOperationLosesNothing) {
  for (int failing = 1;; ++failing) {
    SCOPED_TRACE(failing);
    const TemporaryFolder folder;
    CheckpointStore store(folder.path("checkpoints"), 2);
    store.save(some_content(10), true);
    store.save(some_content(20), false);
    int operations = 0;
    set_io_fault(
        [&](std::string_view, std::string_view) { return ++operations == failing ? ENOSPC : 0; });
    bool failed = false;
    try {
      store.save(some_content(30), true);
    } catch (const Error& error) {
      failed = true;
      EXPECT_EQ(error.kind(), ErrorKind::io);
      EXPECT_THAT(error.what(), HasSubstr("No space left"));
    }
    set_io_fault({});
    if (!failed) {
      EXPECT_EQ(failing, operations + 1) << "a failure was swallowed";
      EXPECT_GT(operations, 15);  // five files of at least create, write, sync, rename each
      return;
    }
    // In the very last operations the new one is complete already and may be found; nothing else
    // may be.
    CheckpointStore again(folder.path("checkpoints"), 2);
    const auto found = again.load_newest();
    ASSERT_TRUE(found.has_value());
    EXPECT_TRUE(loaded_value(*found) == 20 || loaded_value(*found) == 30);
    EXPECT_EQ(loaded_value(load_checkpoint(folder.path("checkpoints/step-0000000010"))), 10);
    EXPECT_EQ(loaded_value(load_checkpoint(folder.path("checkpoints/step-0000000020"))), 20);
    again.save(some_content(30), true);
    EXPECT_EQ(loaded_value(*again.load_newest()), 30);
    for (const auto& entry : fs::recursive_directory_iterator(folder.path("checkpoints")))
      EXPECT_NE(entry.path().extension(), ".tmp") << entry.path();
  }
}

// A file system of 256 KiB.
class SmallDisk {
 public:
  SmallDisk() { mounted_ = ::mount("tmpfs", folder_.path().c_str(), "tmpfs", 0, "size=256k") == 0; }
  ~SmallDisk() {
    if (mounted_) ::umount(folder_.path().c_str());
  }
  bool mounted() const { return mounted_; }
  std::string path(const std::string& name) const { return folder_.path(name); }

 private:
  TemporaryFolder folder_;
  bool mounted_ = false;
};

TEST(CheckpointFault, FullDiskKeepsTheLastAndLeavesNothingHalfWritten) {
  const SmallDisk disk;
  if (!disk.mounted())
    GTEST_SKIP() << "mounting a tmpfs is not permitted: " << std::strerror(errno);
  CheckpointStore store(disk.path("checkpoints"), 2);
  store.save(some_content(10), false);
  try {
    store.save(some_content(20, 30'000), false);  // 120 KB in each of three files
    FAIL() << "the disk was large enough";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::io);
    EXPECT_EQ(error.exit_code(), 2);
    EXPECT_THAT(error.what(), HasSubstr("No space left on device"));
  }
  EXPECT_THAT(store.names(), ElementsAre("step-0000000010"));
  EXPECT_FALSE(fs::exists(disk.path("checkpoints/step-0000000020")));
  EXPECT_EQ(loaded_value(*store.load_newest()), 10);
}

TEST(CheckpointFault, FullDiskStopsTrainingInOneSentence) {
  const SmallDisk disk;
  if (!disk.mounted())
    GTEST_SKIP() << "mounting a tmpfs is not permitted: " << std::strerror(errno);
  test::TinyRunOptions options;
  options.folder = disk.path("run");
  options.width = 3000;  // 340 KB of filters
  test::TinyRun run = test::make_tiny_run(options);
  Trainer trainer(run.parts, options.loop);
  try {
    trainer.run();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::io);
    EXPECT_THAT(error.what(), HasSubstr("No space left on device"));
  }
  EXPECT_TRUE(run.parts.checkpoints->names().empty());
}

TEST(CheckpointFault, UnwritableFolderIsOneSentence) {
  const TemporaryFolder folder;
  std::ofstream(folder.path("plain")) << "x";
  CheckpointStore store(folder.path("plain/checkpoints"), 2);
  try {
    store.save(some_content(10), false);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::io);
    EXPECT_THAT(error.what(), HasSubstr("plain/checkpoints"));
  }
  EXPECT_EQ(test::read_text(folder.path("plain")), "x");
}

}  // namespace
}  // namespace residua
