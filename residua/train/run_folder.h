#pragma once
// What a training run leaves behind:
//
//   OUT/
//     config.toml                    every option, resolved: `residua train OUT/config.toml`
//                                    repeats the run
//     metrics.jsonl                  one JSON object a line (train/event_log.h)
//     events.out.tfevents.residua    the same numbers for TensorBoard
//     checkpoints/index.json         the names of the last and the best checkpoint
//     checkpoints/step-0000001234/   one checkpoint (train/checkpoint.h)
//     report.html                    one self-contained page
//     result.json                    written when the run has finished: final and best metrics
//
// A folder is one run: `residua train --resume OUT` continues it, and a new run takes another
// folder.

#include <string>

#include "residua/core/json.h"

namespace residua {

struct RunFolder {
  std::string path;

  std::string config() const { return path + "/config.toml"; }
  std::string metrics() const { return path + "/metrics.jsonl"; }
  std::string events() const { return path + "/events.out.tfevents.residua"; }
  std::string checkpoints() const { return path + "/checkpoints"; }
  std::string report() const { return path + "/report.html"; }
  std::string result() const { return path + "/result.json"; }
};

// Makes the folder of a new run and writes its configuration. An empty `out` means runs/NAME, or
// runs/NAME-2 and so on, the first that is free. Throws ErrorKind::invalid_argument when `out` is
// there and not an empty folder, ErrorKind::io when it cannot be made; then nothing of it is left.
RunFolder create_run_folder(const std::string& out, const std::string& name,
                            const Json& configuration);

// Removes what is left of a run that failed before it recorded anything: no line of metrics and no
// checkpoint. Any other run stays as it is.
void discard_unused_run(const RunFolder& folder);

// The folder of a run to be continued, and its configuration. Throws ErrorKind::not_found when it
// holds no run.
RunFolder open_run_folder(const std::string& path);
Json read_run_configuration(const RunFolder& folder);

}  // namespace residua
