#pragma once
// The training behind a train job.

#include "residua/recipes/job_cache.h"
#include "residua/recipes/run_job.h"

namespace residua {

std::optional<JobOutcome> run_train_job(const JobRequest& request, const JobRunOptions& options);

}  // namespace residua
