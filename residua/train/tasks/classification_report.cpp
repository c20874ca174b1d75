#include "residua/train/tasks/classification_report.h"

namespace residua {

namespace {

std::vector<ReportSample> with_images(const Dataset& dataset,
                                      const std::vector<Prediction>& predictions) {
  std::vector<ReportSample> samples;
  for (const Prediction& p : predictions) {
    Image image = dataset.get(p.index).image;
    if (image.channels != 1) image = to_rgb(image);
    samples.push_back({std::move(image), p.label, p.predicted(), p.top});
  }
  return samples;
}

std::vector<std::vector<int64_t>> rows_of(const ConfusionMatrix& matrix) {
  std::vector<std::vector<int64_t>> rows(static_cast<size_t>(matrix.classes()));
  for (int64_t l = 0; l < matrix.classes(); ++l)
    for (int64_t p = 0; p < matrix.classes(); ++p)
      rows[static_cast<size_t>(l)].push_back(matrix.count(l, p));
  return rows;
}

}  // namespace

std::function<void(Report&)> classification_details(
    std::shared_ptr<const Dataset> test, std::shared_ptr<const ClassificationReview> review) {
  return [test = std::move(test), review = std::move(review)](Report& report) {
    report.classes = test->info().classes;
    const auto& findings = review->findings();
    if (!findings) return;
    report.confusion = rows_of(findings->confusion);
    report.samples = with_images(*test, findings->samples);
    report.most_confused = with_images(*test, findings->mistakes);
  };
}

}  // namespace residua
