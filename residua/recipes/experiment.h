#pragma once
// From options to everything that a run needs.
//
//   Experiment e = make_experiment(resolve_options(configuration));
//   Trainer trainer(trainer_parts(e), e.options.loop);
//   trainer.run();

#include <memory>

#include "residua/data/dataset.h"
#include "residua/data/loader.h"
#include "residua/models/model.h"
#include "residua/optim/optimizer.h"
#include "residua/train/options.h"
#include "residua/train/tasks/classification.h"
#include "residua/train/tasks/classification_review.h"
#include "residua/train/trainer.h"

namespace residua {

// Checks every name and option of a configuration and spells out those left to their defaults,
// without opening data. Throws ErrorKind::invalid_argument or not_found with the nearest names.
TrainOptions resolve_options(const Json& configuration);

// A dataset; takes `skip_corrupt` out of its options, which is the loader's.
std::shared_ptr<DataSplits> open_data(const Component& data);
bool skips_corrupt(const Component& data);

// A model for these data: where it has the options num_classes, in_channels and image_size and they
// are not given, they are the data's; `image_size` 0: of no single size. Throws
// ErrorKind::invalid_argument when the numbers given do not fit the data.
Component fit_model(const Component& model, const DatasetInfo& data, int64_t image_size);
// With random weights from `seed`.
std::shared_ptr<Model> make_model(const Component& model, int64_t seed);

// The model as the trainer sees it, with what it says beside its output.
Network model_network(const std::shared_ptr<Model>& model);

// Height and width of the images that the data's preparation gives; 0 where they differ.
int64_t input_size(const DatasetInfo& data, const AugmentOptions& augment);

// The loader of test images, as training and evaluation use it.
std::shared_ptr<Loader> make_test_loader(const TrainOptions& options,
                                         std::shared_ptr<const Dataset> test);

// For checkpoints: what prediction needs to know of the data.
Json to_json(const DatasetInfo& info);
DatasetInfo dataset_info_from_json(const Json& json);

struct Experiment {
  TrainOptions options;  // the model's too are complete now
  std::shared_ptr<DataSplits> data;
  std::shared_ptr<Model> model;  // on the device
  std::shared_ptr<const Task> task;
  std::shared_ptr<Optimizer> optimizer;
  std::shared_ptr<const Schedule> schedule;
  std::shared_ptr<Loader> train, test;
  std::shared_ptr<ClassificationReview> review;

  Json configuration() const { return options_to_json(options); }
};

Experiment make_experiment(TrainOptions options);

// Everything but where to save, whom to tell and when to stop.
TrainerParts trainer_parts(const Experiment& experiment);

}  // namespace residua
