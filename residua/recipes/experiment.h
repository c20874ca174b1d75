#pragma once
// From options to everything that a run needs.
//
//   Experiment e = make_experiment(resolve_options(configuration));
//   Trainer trainer(trainer_parts(e), e.options.loop);
//   trainer.run();

#include <functional>
#include <memory>

#include "residua/data/batch_source.h"
#include "residua/data/dataset.h"
#include "residua/io/dtype.h"
#include "residua/models/model.h"
#include "residua/optim/optimizer.h"
#include "residua/train/options.h"
#include "residua/train/report.h"
#include "residua/train/trainer.h"

namespace residua {

// Checks every name and option of a configuration and spells out those left to their defaults,
// without opening data. Throws ErrorKind::invalid_argument or not_found with the nearest names.
TrainOptions resolve_options(const Json& configuration);

// A dataset; takes `skip_corrupt` out of its options, which is the loader's.
std::shared_ptr<DataSplits> open_data(const Component& data);
bool skips_corrupt(const Component& data);

// With random weights from `seed`.
std::shared_ptr<Model> make_model(const Component& model, int64_t seed);

// The model as the trainer sees it, with what it says beside its output.
Network model_network(const std::shared_ptr<Model>& model);

// What the data ask of an experiment: the model's options, and how it is learned and judged.
struct DataParts {
  Component model;  // options complete
  std::shared_ptr<const Task> task;
  std::shared_ptr<BatchSource> train, test;
  Json info;        // for checkpoints: what using the model needs to know of the data
  Shape one_input;  // a batch of one sample
};

// Of images or text. Throws ErrorKind::invalid_argument when the options do not fit the data.
DataParts data_parts(const TrainOptions& options, const DataSplits& data);

// What an evaluation shows beyond its means.
struct ReviewParts {
  std::shared_ptr<EvaluationReview> review;
  std::function<void(Report&)> details;  // adds it to a report
};

struct Experiment {
  TrainOptions options;  // the model's too are complete now
  std::shared_ptr<DataSplits> data;
  std::shared_ptr<Model> model;  // on the device
  std::shared_ptr<const Task> task;
  std::shared_ptr<Optimizer> optimizer;
  std::shared_ptr<const Schedule> schedule;
  std::shared_ptr<BatchSource> train, test;
  ReviewParts review;
  Json data_info;
  Shape one_input;

  Json configuration() const { return options_to_json(options); }
};

Experiment make_experiment(TrainOptions options);

// Everything but where to save, whom to tell and when to stop.
TrainerParts trainer_parts(const Experiment& experiment);

}  // namespace residua
