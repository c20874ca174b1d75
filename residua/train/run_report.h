#pragma once
// Keeps the report page of a run up to date.

#include <functional>
#include <string>
#include <vector>

#include "residua/train/recorder.h"
#include "residua/train/report.h"
#include "residua/train/run_folder.h"

namespace residua {

struct RunReportParts {
  RunFolder folder;
  std::string title;
  Json configuration, environment;
  // Adds what the last evaluation found.
  std::function<void(Report&)> details = {};
};

// The curves of metrics.jsonl as series "train/loss", "test/top1", ..., over epochs. A last line
// that is cut off is left out.
std::vector<ReportSeries> read_series(const std::string& metrics_path);

// Writes the page with checkpoints, at most every few seconds, and at the end of the run.
class RunReport final : public Recorder {
 public:
  explicit RunReport(RunReportParts parts) : parts_(std::move(parts)) {}
  void record(const RunEvent& event) override;
  Json position() override { return nullptr; }
  void rewind(const Json&) override {}

  Report make() const;

 private:
  RunReportParts parts_;
  Json summary_ = Json::object();
  double written_ = 0;  // when
};

}  // namespace residua
