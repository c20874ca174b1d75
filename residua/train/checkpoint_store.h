#pragma once
// The checkpoints of one run: step-0000001234/, and a later one of the same step as
// step-0000001234-2/.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "residua/train/checkpoint.h"

namespace residua {

// The checkpoint that `path` means: a checkpoint itself; of a run, or its folder of checkpoints,
// the best, else the last; RUN/best and RUN/last. Nothing when `path` is no folder of ours (weights
// of others, say). Throws ErrorKind::not_found for a run that has saved none.
std::optional<std::string> find_checkpoint(const std::string& path);

class CheckpointStore {
 public:
  // Keeps the `keep` newest and the best.
  CheckpointStore(std::string folder, int64_t keep) : folder_(std::move(folder)), keep_(keep) {}

  // Returns the new checkpoint's path. When it throws, all earlier checkpoints are as they were.
  std::string save(const CheckpointContent& content, bool best);

  // The newest checkpoint that is whole; those that are not are named in a warning through the log.
  // Nothing when there is none at all; when there are only broken ones, the error of the newest.
  std::optional<Checkpoint> load_newest();

  std::vector<std::string> names() const;  // complete ones, oldest first
  const std::string& folder() const { return folder_; }

 private:
  std::string free_name(int64_t step) const;
  void write_index(const std::string& last) const;
  void prune(const std::string& newest) const;

  std::string folder_;
  int64_t keep_;
  std::string best_;  // name of the best so far; may be empty
};

}  // namespace residua
