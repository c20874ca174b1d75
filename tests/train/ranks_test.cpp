#include "residua/train/distributed/ranks.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <torch/torch.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include "residua/core/error.h"

extern char** environ;

namespace residua {
namespace {

// A port that nobody listens on now.
int64_t free_port() {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  close(fd);
  return ntohs(address.sin_port);
}

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void sums_of_rank(Collective& ranks) {
  const double mine = static_cast<double>(ranks.rank() + 1);
  const double all = static_cast<double>(ranks.world() * (ranks.world() + 1)) / 2;
  const at::Tensor a = torch::full({1000}, mine), b = torch::full({3, 4}, 10 * mine);
  const auto first = ranks.start_sum(a), second = ranks.start_sum(b);
  second->wait();
  first->wait();
  EXPECT_TRUE(a.eq(all).all().item<bool>());
  EXPECT_TRUE(b.eq(10 * all).all().item<bool>());
  EXPECT_EQ(ranks.sums(), 2);
}

TEST(Ranks, OfThreadsSum) {
  for (const int64_t world : {2, 3})
    run_rank_threads(world, [](const std::shared_ptr<Collective>& ranks) { sums_of_rank(*ranks); });
}

TEST(Ranks, OneAloneDoesNotWait) {
  const auto alone = connect_ranks({});
  const at::Tensor x = torch::ones({3});
  alone->sum(x);
  EXPECT_TRUE(x.equal(torch::ones({3})));
  EXPECT_EQ(alone->sums(), 0);
}

TEST(Ranks, FailuresOfThreadsReachTheCaller) {
  const auto fail = [](const auto&) { throw Error(ErrorKind::shape, {.rule = "is wrong"}); };
  EXPECT_THROW(run_rank_threads(1, fail), Error);
}

TEST(Ranks, DelayCountsFromTheStart) {
  run_rank_threads(2, [](const std::shared_ptr<Collective>& ranks) {
    const auto slow = delayed(ranks, 0.2);
    const at::Tensor x = torch::ones({2}), y = torch::ones({2});
    std::shared_ptr<Arrival> first, second;
    EXPECT_LT(seconds_of([&] {
                first = slow->start_sum(x);
                second = slow->start_sum(y);
              }),
              0.15);
    EXPECT_GE(seconds_of([&] { first->wait(); }), 0.1);
    EXPECT_LT(seconds_of([&] { second->wait(); }), 0.15);  // was under way meanwhile
    EXPECT_TRUE(x.equal(torch::full({2}, 2.0)));
  });
}

// The body of each rank's process, which the next test starts.
TEST(Ranks, OfThisProcess) {
  if (std::getenv("RESIDUA_TEST_RANK") == nullptr) GTEST_SKIP() << "started by the next test";
  const RankInfo info = rank_from_environment();
  EXPECT_EQ(info.world, 2);
  sums_of_rank(*connect_ranks(info));
}

pid_t start_rank(int64_t rank, int64_t port) {
  std::vector<std::string> variables{"RESIDUA_TEST_RANK=1", "RANK=" + std::to_string(rank),
                                     "WORLD_SIZE=2", "MASTER_ADDR=127.0.0.1",
                                     "MASTER_PORT=" + std::to_string(port)};
  std::vector<char*> environment;
  for (std::string& v : variables) environment.push_back(v.data());
  for (char** v = environ; *v != nullptr; ++v) environment.push_back(*v);
  environment.push_back(nullptr);
  std::string program = std::filesystem::read_symlink("/proc/self/exe"),
              filter = "--gtest_filter=Ranks.OfThisProcess";
  char* arguments[] = {program.data(), filter.data(), nullptr};
  pid_t pid = -1;
  EXPECT_EQ(posix_spawn(&pid, program.c_str(), nullptr, nullptr, arguments, environment.data()), 0);
  return pid;
}

TEST(Ranks, OfTwoProcessesSum) {
  const int64_t port = free_port();
  const pid_t ranks[] = {start_rank(0, port), start_rank(1, port)};
  for (const pid_t pid : ranks) {
    int status = -1;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  }
}

TEST(Ranks, EnvironmentIsChecked) {
  const auto with = [](const char* rank, const char* world) {
    setenv("RANK", rank, 1);
    setenv("WORLD_SIZE", world, 1);
    std::optional<RankInfo> info;
    try {
      info = rank_from_environment();
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::invalid_argument);
    }
    unsetenv("RANK");
    unsetenv("WORLD_SIZE");
    return info;
  };
  EXPECT_EQ(with("1", "2")->rank, 1);
  EXPECT_FALSE(with("2", "2"));
  EXPECT_FALSE(with("-1", "2"));
  EXPECT_FALSE(with("one", "2"));
  EXPECT_EQ(rank_from_environment().world, 1);
}

TEST(Ranks, ThatNobodyMeetsFailInTime) {
  try {
    connect_ranks({.rank = 1, .world = 2, .port = free_port(), .timeout = 0.3});
    FAIL() << "met nobody";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::io);
  }
}

}  // namespace
}  // namespace residua
