#pragma once
// The parts of a report in the form that the page's script reads, made small enough for one file.

#include "residua/core/json.h"
#include "residua/train/report.h"

namespace residua {

// {name, x_label, points, gaps, x, y}: `points` before thinning, `gaps` values that were not
// finite. At most about `limit` points remain; every interval keeps its least, its greatest and one
// missing value.
Json report_series_data(const ReportSeries& series, size_t limit);

// {size, block, cells, rows, columns, correct, worst}: `cells` lists row, column, count of the
// filled cells, each summing block x block classes; the other lists are per class, and `worst` the
// greatest confusions of two classes.
Json report_confusion_data(const std::vector<std::vector<int64_t>>& confusion, size_t max_cells);

// {total, shown}: as many samples, in order, as fit into `max_bytes` of encoded pictures.
Json report_samples_data(const std::vector<ReportSample>& samples, size_t max_bytes);

}  // namespace residua
