#pragma once
// Finished jobs by content: a job with the same configuration on the same data runs once, whichever
// recipes ask for it.
//
//   CACHE/resnet20-digits-0123456789abcdef/
//     result.json      once finished, with what the name is the hash of
//     lock             held by the process that runs the job
//     ...              and the run folder of a training (train/run_folder.h)

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "residua/core/json.h"
#include "residua/recipes/job_result.h"

namespace residua {

class JobSlot {
 public:
  // `identity` is everything that the numbers depend on; the version of the engine is added.
  // Makes the folder. Throws ErrorKind::io when it cannot.
  JobSlot(const std::string& cache, const std::string& name, const Json& identity);
  ~JobSlot();
  JobSlot(const JobSlot&) = delete;
  JobSlot& operator=(const JobSlot&) = delete;

  // Waits until no other process runs the job; false when `stop` said so meanwhile.
  bool lock(const std::function<bool()>& stop);

  std::optional<JobResult> load() const;  // nothing: not finished, or not readable
  void store(const JobResult& result);
  // Forgets everything but the lock, unless the job finished at `since` or later; nothing: never.
  void forget_before(const std::optional<std::filesystem::file_time_type>& since);

  const std::string& folder() const { return folder_; }
  const std::string& key() const { return key_; }  // hash of the identity

 private:
  Json identity_;
  std::string key_, folder_;
  int descriptor_ = -1;
};

}  // namespace residua
