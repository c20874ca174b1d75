// A training process is killed at random moments, again and again: what it leaves is always a
// loadable checkpoint from which the run goes on to the bits of one that was never killed.
//
// RESIDUA_KILL_ROUNDS sets the number of kills (default 50).

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <torch/torch.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "residua/core/random.h"
#include "residua/train/stop_signal.h"
#include "tests/train/tiny_run.h"

extern char** environ;

namespace residua {
namespace {

using test::TemporaryFolder;

constexpr const char* kFolderVariable = "RESIDUA_KILL_TEST_FOLDER";

test::TinyRunOptions killed_run(const std::string& folder) {
  test::TinyRunOptions options;
  options.folder = folder;
  options.loop = {
      .epochs = 400, .accumulate = 2, .ema_decay = 0.9, .eval_every = 4, .save_every = 3};
  return options;
}

// Trains or goes on; says so once training has begun, and leaves its weights when it is done.
void train_as_child(const std::string& folder) {
  at::set_num_threads(1);
  const StopOnSignals signals;
  const auto options = killed_run(folder);
  test::TinyRun run = test::make_tiny_run(options);
  run.parts.stop = StopOnSignals::requested;
  Trainer trainer(run.parts, options.loop);
  trainer.resume();
  std::ofstream(folder + "/started") << trainer.state().step;
  const RunResult result = trainer.run();
  if (!result.finished) ::_exit(130);
  std::ofstream(folder + "/weights", std::ios::binary) << test::weight_bytes(*run.net);
}

class Child {
 public:
  explicit Child(const std::string& folder) {
    ::setenv(kFolderVariable, folder.c_str(), 1);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    std::string program = "/proc/self/exe", filter = "--gtest_filter=KillChild.DISABLED_Train",
                disabled = "--gtest_also_run_disabled_tests";
    program = std::filesystem::read_symlink(program).string();
    char* arguments[] = {program.data(), filter.data(), disabled.data(), nullptr};
    if (posix_spawn(&id_, program.c_str(), &actions, nullptr, arguments, environ) != 0) id_ = -1;
    posix_spawn_file_actions_destroy(&actions);
    ::unsetenv(kFolderVariable);
  }
  bool running() {
    if (!ended_) ended_ = ::waitpid(id_, &status_, WNOHANG) == id_;
    return !ended_;
  }
  void send(int signal) { ::kill(id_, signal); }
  int wait() {
    if (!ended_) ::waitpid(id_, &status_, 0);
    ended_ = true;
    return status_;
  }
  bool started() const { return id_ > 0; }

 private:
  pid_t id_ = -1;
  int status_ = 0;
  bool ended_ = false;
};

void wait_for(Child& child, const std::string& file) {
  while (child.running() && !std::filesystem::exists(file))
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
}

int kill_rounds() {
  const char* text = std::getenv("RESIDUA_KILL_ROUNDS");
  return text == nullptr ? 50 : std::atoi(text);
}

struct Ending {
  std::string weights, lines;
};

Ending ending_of(const std::string& folder) {
  return {test::read_text(folder + "/weights"), test::timeless_lines(folder + "/metrics.jsonl")};
}

Ending uninterrupted(const std::string& folder) {
  std::filesystem::create_directory(folder);
  Child child(folder);
  EXPECT_EQ(child.wait(), 0);
  return ending_of(folder);
}

// Not a test of its own: the process that the tests below start.
TEST(KillChild, DISABLED_Train) {
  const char* folder = std::getenv(kFolderVariable);
  if (folder == nullptr) GTEST_SKIP() << "only runs as a child of the kill tests";
  train_as_child(folder);
}

TEST(Kill, AnyMomentLeavesALoadableCheckpointAndTheSameEnd) {
  const TemporaryFolder folder;
  const Ending whole = uninterrupted(folder.path("whole"));
  ASSERT_FALSE(whole.weights.empty());
  const std::string run = folder.path("run");
  std::filesystem::create_directory(run);
  Random random(20260101);
  int killed = 0, ends = 0, finished = 0;
  const int rounds = kill_rounds();
  bool saved_before = false;
  while (killed < rounds) {
    std::filesystem::remove(run + "/started");
    Child child(run);
    ASSERT_TRUE(child.started());
    wait_for(child, run + "/started");
    // Milliseconds of training: saves happen every few.
    std::this_thread::sleep_for(std::chrono::microseconds(random.integer(0, 150'000)));
    if (child.running()) {
      child.send(SIGKILL);
      ++killed;
    }
    const int status = child.wait();
    ASSERT_TRUE(WIFSIGNALED(status) || status == 0) << status;
    CheckpointStore store(run + "/checkpoints", 2);
    const auto found = store.load_newest();
    EXPECT_TRUE(found.has_value() || !saved_before) << "a checkpoint was lost";
    saved_before = found.has_value();
    if (WIFSIGNALED(status)) continue;
    ++finished;
    const Ending end = ending_of(run);
    EXPECT_EQ(end.weights, whole.weights);
    EXPECT_EQ(end.lines, whole.lines);
    std::filesystem::remove_all(run);
    std::filesystem::create_directory(run);
    saved_before = false;
    ++ends;
  }
  Child last(run);
  ASSERT_EQ(last.wait(), 0);
  const Ending end = ending_of(run);
  EXPECT_EQ(end.weights, whole.weights);
  EXPECT_EQ(end.lines, whole.lines);
  RecordProperty("killed", killed);
  RecordProperty("finished", finished + 1);
}

TEST(Kill, TerminationSavesAtOnceAndGoesOnToTheSameEnd) {
  const TemporaryFolder folder;
  const Ending whole = uninterrupted(folder.path("whole"));
  const std::string run = folder.path("run");
  std::filesystem::create_directory(run);
  for (const int signal : {SIGTERM, SIGINT}) {
    std::filesystem::remove(run + "/started");
    Child child(run);
    wait_for(child, run + "/started");
    std::this_thread::sleep_for(std::chrono::milliseconds(40));
    child.send(signal);
    const int status = child.wait();
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 130);
  }
  Child last(run);
  ASSERT_EQ(last.wait(), 0);
  const Ending end = ending_of(run);
  EXPECT_EQ(end.weights, whole.weights);
  EXPECT_EQ(end.lines, whole.lines);
}

}  // namespace
}  // namespace residua
