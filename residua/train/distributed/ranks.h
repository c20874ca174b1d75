#pragma once
// Connects ranks: processes of this or other machines, or threads of this process, over Gloo.
//
//   const RankInfo info = rank_from_environment();  // as torchrun, Slurm or MPI set it
//   std::shared_ptr<Collective> ranks = connect_ranks(info);
//   ranks->sum(x);

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "residua/nn/collective.h"

namespace residua {

struct RankInfo {
  int64_t rank = 0, world = 1;
  std::string host = "127.0.0.1";  // of rank 0, which all ranks meet at
  int64_t port = 29500;
  double timeout = 60;  // seconds for meeting, and for each sum
};

// From RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT (torchrun), else SLURM_PROCID and SLURM_NTASKS
// or OMPI_COMM_WORLD_RANK and _SIZE; one rank where none is set. Throws
// ErrorKind::invalid_argument for numbers that make no sense.
RankInfo rank_from_environment();

// Returns when all ranks have met. Throws ErrorKind::io when they do not in time.
std::shared_ptr<Collective> connect_ranks(const RankInfo& info);

// Runs `work` on `world` threads of this process, each a rank that computes with one thread.
// Throws what the first of them threw.
void run_rank_threads(int64_t world,
                      const std::function<void(const std::shared_ptr<Collective>&)>& work);

// Every sum arrives `seconds` after its start at the earliest: a slower network.
std::shared_ptr<Collective> delayed(std::shared_ptr<Collective> ranks, double seconds);

// Sums nothing, at no cost: the bound that no network can pass.
std::shared_ptr<Collective> without_sums(int64_t rank, int64_t world);

}  // namespace residua
