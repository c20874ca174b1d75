#pragma once
// What a model says of images in files.

#include <string>
#include <utility>
#include <vector>

#include "residua/recipes/trained_model.h"

namespace residua {

struct ImagePrediction {
  std::string path;
  std::vector<std::pair<int64_t, double>> top;  // class and probability, best first
};

// In the order of `paths`, at most `top_k` classes each. Throws the error of the first image that
// cannot be read.
std::vector<ImagePrediction> predict_images(const TrainedModel& trained,
                                            const std::vector<std::string>& paths, int64_t top_k);

}  // namespace residua
