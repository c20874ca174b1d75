#pragma once
// The page that a training run leaves behind: one HTML file that needs no network and no other
// file.
//
//   Report report{.title = "resnet20 on digits", .classes = {"zero", "one"}};
//   report.series.push_back({"train/loss", "step", steps, losses});
//   report.series.push_back({"val/loss", "epoch", epochs, val_losses});
//   write_report("runs/a/report.html", report);
//
// Every part but the title may be empty; the page leaves its section out.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "residua/core/json.h"
#include "residua/io/image.h"

namespace residua {

// A curve. Series whose names end alike ("train/loss", "val/loss") share a chart, one axis per
// `x_label`. x and y have the same length. A y that is not finite is a gap in the curve and is
// counted beside it; a point whose x is not finite is dropped. Points are put in the order of x.
struct ReportSeries {
  std::string name;     // "<split>/<measure>" or "<measure>"
  std::string x_label;  // "step", "epoch"
  std::vector<double> x, y;
};

// An image with what the model said of it. Class indices that have no name are shown as numbers;
// label -1 means that the true class is not known.
struct ReportSample {
  Image image;  // large ones are shown as thumbnails
  int64_t label = -1;
  int64_t predicted = -1;
  std::vector<std::pair<int64_t, double>> top = {};  // class and probability in [0, 1], best first
};

// Something that the model wrote.
struct ReportText {
  std::string title, text;  // bytes that are not UTF-8 are shown as U+FFFD
};

struct Report {
  std::string title;
  std::string subtitle = {};
  Json configuration = {};  // object: shown as TOML, so that it can be copied into a file
  Json environment = {};    // object: nested keys are shown dotted
  Json summary = {};  // object: headline numbers by name; a string is shown as it is ("98.3 %")
  std::vector<std::string> classes = {};
  std::vector<ReportSeries> series = {};
  std::vector<std::vector<int64_t>> confusion = {};  // [true][predicted] counts, square
  std::vector<ReportSample> samples = {};
  std::vector<ReportSample> most_confused = {};  // wrong answers, the surest first
  std::vector<ReportText> texts = {};
};

// The complete page, under 5 MB: long series are thinned so that each interval keeps its least and
// greatest value, a confusion matrix with very many filled cells is summed in blocks, and pictures
// beyond the room for them are left out; the page says so wherever it happened. Throws
// ErrorKind::shape when x and y differ in length, when the confusion matrix is not square, or when
// it does not fit `classes`, or when an image has another number of bytes than its sizes say;
// ErrorKind::invalid_argument for a negative count or a part that is not an object.
std::string render_report(const Report& report);

// Renders, then writes atomically.
void write_report(const std::string& path, const Report& report);

}  // namespace residua
