#include "residua/core/threads.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

namespace residua {
namespace {

namespace fs = std::filesystem;

// A made-up /sys/fs/cgroup.
class CgroupTree : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "residua_cgroup_XXXXXX").string();
    root_ = mkdtemp(name.data());
  }
  void TearDown() override { fs::remove_all(root_); }
  void write(const std::string& path, const std::string& text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  double quota(const std::string& self) const { return cgroup_cpu_quota(root_.string(), self); }

  fs::path root_;
};

TEST_F(CgroupTree, VersionTwoHasQuotaAndPeriod) {
  write("job/cpu.max", "150000 100000\n");
  EXPECT_DOUBLE_EQ(quota("0::/job\n"), 1.5);
}

TEST_F(CgroupTree, MaxIsNoLimit) {
  write("job/cpu.max", "max 100000\n");
  EXPECT_EQ(quota("0::/job\n"), 0);
}

TEST_F(CgroupTree, TheTightestAncestorDecides) {
  write("a/cpu.max", "50000 100000\n");
  write("a/b/cpu.max", "max 100000\n");
  write("a/b/c/cpu.max", "400000 100000\n");
  EXPECT_DOUBLE_EQ(quota("0::/a/b/c\n"), 0.5);
}

TEST_F(CgroupTree, TheRootOfAContainerCounts) {
  write("cpu.max", "200000 100000\n");
  EXPECT_DOUBLE_EQ(quota("0::/\n"), 2);
  EXPECT_DOUBLE_EQ(quota("0::/not/visible/here\n"), 2);
}

TEST_F(CgroupTree, VersionOneHasTwoFiles) {
  write("cpu/job/cpu.cfs_quota_us", "300000\n");
  write("cpu/job/cpu.cfs_period_us", "100000\n");
  const std::string self = "5:memory:/other\n4:cpu,cpuacct:/job\n";
  EXPECT_DOUBLE_EQ(quota(self), 3);
  write("cpu/job/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(quota(self), 0);
}

TEST_F(CgroupTree, CpusetIsNotTheCpuController) {
  write("cpu/job/cpu.cfs_quota_us", "100000\n");
  write("cpu/job/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota("3:cpuset:/job\n"), 0);
}

TEST_F(CgroupTree, NonsenseIsNoLimit) {
  write("job/cpu.max", "what is this\n");
  EXPECT_EQ(quota("0::/job\n"), 0);
  EXPECT_EQ(quota("no colons at all\n\n"), 0);
  EXPECT_EQ(quota(""), 0);
  write("job/cpu.max", "100000 0\n");
  EXPECT_EQ(quota("0::/job\n"), 0);
}

// Sets OMP_NUM_THREADS for a scope.
class OmpThreads {
 public:
  explicit OmpThreads(const char* value) {
    if (const char* old = std::getenv("OMP_NUM_THREADS")) old_ = old;
    if (value)
      setenv("OMP_NUM_THREADS", value, 1);
    else
      unsetenv("OMP_NUM_THREADS");
  }
  ~OmpThreads() {
    if (old_)
      setenv("OMP_NUM_THREADS", old_->c_str(), 1);
    else
      unsetenv("OMP_NUM_THREADS");
  }

 private:
  std::optional<std::string> old_;
};

TEST(Threads, ARequestOverridesAll) {
  const OmpThreads omp("1");
  const ThreadChoice choice = choose_threads(7);
  EXPECT_EQ(choice.count, 7);
  EXPECT_THAT(choice.reason, ::testing::HasSubstr("requested"));
}

TEST(Threads, OmpNumThreadsLowersButDoesNotRaise) {
  int free = 0;
  {
    const OmpThreads omp(nullptr);
    free = choose_threads().count;
  }
  EXPECT_GE(free, 1);
  {
    const OmpThreads omp("1");
    EXPECT_EQ(choose_threads().count, 1);
  }
  {
    const OmpThreads omp("100000");
    EXPECT_EQ(choose_threads().count, free);
  }
  const OmpThreads omp("nonsense");
  EXPECT_EQ(choose_threads().count, free);
}

TEST(Threads, AffinityIsRespected) {
  const OmpThreads omp(nullptr);
  cpu_set_t before, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
  int first = 0;
  while (!CPU_ISSET(first, &before)) ++first;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
  const ThreadChoice choice = choose_threads();
  ASSERT_EQ(sched_setaffinity(0, sizeof(before), &before), 0);
  EXPECT_EQ(choice.count, 1);
  EXPECT_THAT(choice.reason, ::testing::HasSubstr("affinity"));
}

}  // namespace
}  // namespace residua
