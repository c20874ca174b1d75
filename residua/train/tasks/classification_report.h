#pragma once
// The part of a run's report that is about a classifier: confusions and images.

#include <functional>
#include <memory>

#include "residua/data/dataset.h"
#include "residua/train/report.h"
#include "residua/train/tasks/classification_review.h"

namespace residua {

// Adds what the last evaluation of `review` found on the images of `test`.
std::function<void(Report&)> classification_details(
    std::shared_ptr<const Dataset> test, std::shared_ptr<const ClassificationReview> review);

}  // namespace residua
