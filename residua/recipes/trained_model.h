#pragma once
// A model with weights from a file, ready to be asked.
//
//   TrainedModel m = load_trained({.weights = "runs/resnet20-digits"}, Json::object());
//   TrainedModel n = load_trained({.weights = "resnet18.pth"}, {{"model", "resnet18"}});

#include <memory>
#include <string>

#include "residua/data/dataset.h"
#include "residua/data/text/tokenizer.h"
#include "residua/data/transform.h"
#include "residua/models/model.h"
#include "residua/recipes/experiment.h"
#include "residua/runtime/image_input.h"
#include "residua/train/options.h"

namespace residua {

struct TrainedModel {
  std::string weights;           // the file that was loaded
  TrainOptions options;          // of the checkpoint with the overrides; else the overrides alone
  std::shared_ptr<Model> model;  // on the device, in evaluation mode
  DatasetInfo info;  // of images: classes and preparation; without class names when nothing tells
                     // them
  std::shared_ptr<const Tokenizer> tokenizer = {};  // of text; else null
  std::shared_ptr<DataSplits> data;                 // opened where asked for
};

struct LoadTrained {
  std::string weights;     // a run, a checkpoint, or a file of weights
  bool open_data = false;  // for evaluation
};

// `overrides` are options of TrainOptions. A checkpoint brings its own model and data; a file of
// weights needs `model` in the overrides. Throws ErrorKind::invalid_argument when neither says the
// model, or when `model` is not the checkpoint's; load_weights' errors when the weights do not fit.
TrainedModel load_trained(const LoadTrained& what, const Json& overrides);

// The test data as evaluation uses them; needs `open_data`.
DataParts trained_data_parts(const TrainedModel& trained);

// Test-phase preparation of images of any size: what the data's own pipeline does, after resizing
// and cutting the middle where that takes images of one size only.
Pipeline prediction_pipeline(const TrainedModel& trained);

// The same as a plan holds it (runtime/plan_file.h).
ImagePreprocessing prediction_images(const TrainedModel& trained);

}  // namespace residua
