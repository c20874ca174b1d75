#pragma once
// Experts in a memory too small for all of them: which are at hand when they are needed, if a
// predictor asks for them ahead of time.

#include <cstdint>
#include <list>
#include <vector>

namespace residua {

// The least recently used expert makes room.
class ExpertCache {
 public:
  explicit ExpertCache(int64_t capacity) : capacity_(capacity) {}

  // Uses an expert and puts it in front; whether it was there.
  bool use(int64_t expert);
  bool holds(int64_t expert) const;
  const std::list<int64_t>& newest_first() const { return experts_; }

 private:
  int64_t capacity_;
  std::list<int64_t> experts_;
};

// One layer of one token: what is predicted while the layers before it run, and what it then needs.
// Experts are numbered over all layers.
struct ExpertStep {
  std::vector<int64_t> predicted, needed;
};

struct ExpertSettings {
  int64_t capacity = 8;     // experts in fast memory
  double load_time = 1;     // of an expert
  double compute_time = 1;  // of a layer; loads ahead of time run beside `ahead` of them
  int64_t ahead = 1;
};

struct ExpertLoads {
  int64_t needed = 0, hits = 0, loads = 0;
  double time = 0;
  double hit_rate() const {
    return needed == 0 ? 0 : static_cast<double>(hits) / static_cast<double>(needed);
  }
};

// Each step loads what was predicted for it beside the computation before it, as far as the time
// of `ahead` layers reaches, and then what is still missing, while the computation waits.
ExpertLoads simulate_experts(const std::vector<ExpertStep>& steps, const ExpertSettings& settings);

}  // namespace residua
