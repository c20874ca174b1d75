#pragma once
// How many threads to compute with.

#include <string>

namespace residua {

struct ThreadChoice {
  int count = 1;
  std::string reason;  // one line: which limit decided
};

// The least of: processors in the affinity mask, the cgroup CPU quota (v2 or v1, rounded up), and
// OMP_NUM_THREADS where set. `requested` > 0 overrides them all.
ThreadChoice choose_threads(int requested = 0);

// CPU quota in processors of the cgroup tree under `root` for the cgroup named in
// `/proc/self/cgroup` text; 0 when there is none. Separate so that it can be tested on a made-up
// tree.
double cgroup_cpu_quota(const std::string& root, const std::string& self_cgroup);

}  // namespace residua
