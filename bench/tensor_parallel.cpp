// Decoding speed of a Llama-like model cut over processes of this machine:
//
//   tensor_parallel [WORLD [DIM [DEPTH]]]
//
// starts WORLD processes (2) that meet over Gloo and prints tokens per second by layout of the
// residual stream and latency added to each sum. Under torchrun, Slurm or MPI, whose variables it
// reads, it starts none.
#include <fmt/format.h>
#include <omp.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "residua/analysis/decode_speed.h"
#include "residua/core/error.h"
#include "residua/train/distributed/ranks.h"

extern char** environ;

namespace {

pid_t start_rank(int rank, int world, char** argv) {
  std::vector<std::string> variables{fmt::format("RANK={}", rank),
                                     fmt::format("WORLD_SIZE={}", world)};
  std::vector<char*> environment;
  for (std::string& variable : variables) environment.push_back(variable.data());
  for (char** v = environ; *v != nullptr; ++v) environment.push_back(*v);
  environment.push_back(nullptr);
  const std::string program = std::filesystem::read_symlink("/proc/self/exe");
  pid_t pid = -1;
  return posix_spawn(&pid, program.c_str(), nullptr, nullptr, argv, environment.data()) == 0 ? pid
                                                                                             : -1;
}

int start_ranks(int world, char** argv) {
  std::vector<pid_t> ranks;
  for (int rank = 0; rank < world; ++rank) ranks.push_back(start_rank(rank, world, argv));
  int failed = 0;
  for (const pid_t pid : ranks) {
    int status = 1;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) failed = 1;
  }
  return failed;
}

void print_speeds(const std::vector<residua::DecodeSpeed>& speeds) {
  std::map<int64_t, double> standard;
  for (const auto& s : speeds)
    if (s.layout == "standard") standard[s.latency] = s.tokens_per_second;
  fmt::print("{:>10} {:>12} {:>12} {:>10} {:>8}\n", "layout", "latency ms", "tokens/s", "ratio",
             "sums");
  for (const auto& s : speeds)
    fmt::print("{:>10} {:12.1f} {:12.1f} {:10.2f} {:8}\n", s.layout,
               static_cast<double>(s.latency) / 1000, s.tokens_per_second,
               s.tokens_per_second / standard[s.latency], s.sums_per_token);
}

}  // namespace

int main(int argc, char** argv) try {
  const int world = argc > 1 ? std::atoi(argv[1]) : 2;
  if (world > 1 && std::getenv("RANK") == nullptr && std::getenv("SLURM_PROCID") == nullptr &&
      std::getenv("OMPI_COMM_WORLD_RANK") == nullptr)
    return start_ranks(world, argv);
  omp_set_num_threads(1);
  residua::DecodeSpeedOptions options{.tokens = 48, .repeats = 5};
  if (argc > 2) options.dim = std::atoi(argv[2]);
  if (argc > 3) options.depth = std::atoi(argv[3]);
  const auto ranks = residua::connect_ranks(residua::rank_from_environment());
  const auto speeds = residua::measure_decoding(options, ranks, residua::Random(1));
  if (ranks->rank() == 0) print_speeds(speeds);
  return 0;
} catch (const residua::Error& e) {
  fmt::print(stderr, "tensor_parallel: {}\n", e.what());
  return e.exit_code();
}
