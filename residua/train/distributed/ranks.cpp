#include "residua/train/distributed/ranks.h"

#include <omp.h>
#include <torch/torch.h>

#include <charconv>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <thread>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <vector>

#include "residua/core/error.h"

namespace residua {

namespace {

using RankClock = std::chrono::steady_clock;

[[noreturn]] void rank_failed(const std::string& what, const std::exception& e) {
  throw Error(ErrorKind::io, {.where = "ranks", .rule = what, .received = e.what()});
}

class GlooArrival final : public Arrival {
 public:
  explicit GlooArrival(c10::intrusive_ptr<c10d::Work> work) : work_(std::move(work)) {}
  void wait() override {
    try {
      work_->wait();
    } catch (const std::exception& e) {
      rank_failed("a sum over the ranks failed", e);
    }
  }

 private:
  c10::intrusive_ptr<c10d::Work> work_;
};

class GlooRanks final : public Collective {
 public:
  GlooRanks(const c10::intrusive_ptr<c10d::Store>& store, const RankInfo& info)
      : rank_(info.rank), world_(info.world) {
    const auto timeout = std::chrono::milliseconds(static_cast<int64_t>(info.timeout * 1000));
    const auto options = c10d::ProcessGroupGloo::Options::create(timeout);
    const bool local = info.host == "127.0.0.1" || info.host == "localhost";
    options->devices = {local ? c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1")
                              : c10d::ProcessGroupGloo::createDefaultDevice()};
    options->threads = 1;
    group_ = std::make_unique<c10d::ProcessGroupGloo>(store, static_cast<int>(rank_),
                                                      static_cast<int>(world_), options);
  }

  int64_t rank() const override { return rank_; }
  int64_t world() const override { return world_; }
  int64_t sums() const override { return sums_; }
  std::shared_ptr<Arrival> start_sum(const at::Tensor& x) override {
    ++sums_;
    std::vector<at::Tensor> tensors{x.detach()};
    try {
      return std::make_shared<GlooArrival>(group_->allreduce(tensors));
    } catch (const std::exception& e) {
      rank_failed("a sum over the ranks could not begin", e);
    }
  }

 private:
  int64_t rank_, world_, sums_ = 0;
  std::unique_ptr<c10d::ProcessGroupGloo> group_;
};

class DelayedArrival final : public Arrival {
 public:
  DelayedArrival(std::shared_ptr<Arrival> inner, RankClock::time_point earliest)
      : inner_(std::move(inner)), earliest_(earliest) {}
  void wait() override {
    inner_->wait();
    std::this_thread::sleep_until(earliest_);
  }

 private:
  std::shared_ptr<Arrival> inner_;
  RankClock::time_point earliest_;
};

class DelayedRanks final : public Collective {
 public:
  DelayedRanks(std::shared_ptr<Collective> ranks, double seconds)
      : ranks_(std::move(ranks)),
        delay_(std::chrono::duration_cast<RankClock::duration>(
            std::chrono::duration<double>(seconds))) {}
  int64_t rank() const override { return ranks_->rank(); }
  int64_t world() const override { return ranks_->world(); }
  int64_t sums() const override { return ranks_->sums(); }
  std::shared_ptr<Arrival> start_sum(const at::Tensor& x) override {
    const auto earliest = RankClock::now() + delay_;
    return std::make_shared<DelayedArrival>(ranks_->start_sum(x), earliest);
  }

 private:
  std::shared_ptr<Collective> ranks_;
  RankClock::duration delay_;
};

class NoSums final : public Collective {
 public:
  NoSums(int64_t rank, int64_t world) : rank_(rank), world_(world) {}
  int64_t rank() const override { return rank_; }
  int64_t world() const override { return world_; }
  int64_t sums() const override { return 0; }
  std::shared_ptr<Arrival> start_sum(const at::Tensor&) override {
    struct Now final : Arrival {
      void wait() override {}
    };
    return std::make_shared<Now>();
  }

 private:
  int64_t rank_, world_;
};

// Of the first variable that is set.
int64_t environment_number(std::initializer_list<const char*> names, int64_t otherwise) {
  for (const char* name : names) {
    const char* const text = std::getenv(name);
    if (text == nullptr) continue;
    int64_t value = 0;
    const char* const end = text + std::char_traits<char>::length(text);
    const auto [rest, code] = std::from_chars(text, end, value);
    if (code != std::errc() || rest != end || value < 0)
      throw Error(
          ErrorKind::invalid_argument,
          {.where = name, .rule = "must be a number that is not negative", .received = text});
    return value;
  }
  return otherwise;
}

void check_rank(const RankInfo& info) {
  if (info.world >= 1 && info.rank >= 0 && info.rank < info.world && info.port <= 65535) return;
  throw Error(ErrorKind::invalid_argument,
              {.where = "ranks",
               .rule = "a rank must be below the number of ranks, and a port below 65536",
               .received = "rank " + std::to_string(info.rank) + " of " +
                           std::to_string(info.world) + ", port " + std::to_string(info.port)});
}

}  // namespace

RankInfo rank_from_environment() {
  RankInfo info;
  info.rank = environment_number({"RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK"}, info.rank);
  info.world =
      environment_number({"WORLD_SIZE", "SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE"}, info.world);
  info.port = environment_number({"MASTER_PORT"}, info.port);
  if (const char* const host = std::getenv("MASTER_ADDR")) info.host = host;
  check_rank(info);
  return info;
}

std::shared_ptr<Collective> connect_ranks(const RankInfo& info) {
  check_rank(info);
  if (info.world == 1) return without_sums(0, 1);
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(info.port);
  options.isServer = info.rank == 0;
  options.numWorkers = static_cast<size_t>(info.world);
  options.timeout = std::chrono::milliseconds(static_cast<int64_t>(info.timeout * 1000));
  try {
    const auto store = c10::make_intrusive<c10d::TCPStore>(info.host, options);
    return std::make_shared<GlooRanks>(store, info);
  } catch (const std::exception& e) {
    rank_failed("the ranks did not meet", e);
  }
}

void run_rank_threads(int64_t world,
                      const std::function<void(const std::shared_ptr<Collective>&)>& work) {
  const auto store = c10::make_intrusive<c10d::HashStore>();
  std::vector<std::exception_ptr> failures(static_cast<size_t>(world));
  std::vector<std::thread> threads;
  for (int64_t rank = 0; rank < world; ++rank)
    threads.emplace_back([&, rank] {
      try {
        omp_set_num_threads(1);  // of this thread alone
        const RankInfo info{.rank = rank, .world = world};
        if (world == 1)
          work(without_sums(0, 1));
        else
          work(std::make_shared<GlooRanks>(store, info));
      } catch (...) {
        failures[static_cast<size_t>(rank)] = std::current_exception();
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& failure : failures)
    if (failure) std::rethrow_exception(failure);
}

std::shared_ptr<Collective> delayed(std::shared_ptr<Collective> ranks, double seconds) {
  return std::make_shared<DelayedRanks>(std::move(ranks), seconds);
}

std::shared_ptr<Collective> without_sums(int64_t rank, int64_t world) {
  return std::make_shared<NoSums>(rank, world);
}

}  // namespace residua
