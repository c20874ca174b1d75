#pragma once
// What every model can say and do, beyond being a torch::nn::Module with the reference's parameter
// names.

#include <torch/nn/module.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "residua/core/random.h"
#include "residua/core/registry.h"

namespace residua {

// One level of a feature pyramid.
struct FeatureLevel {
  std::string name;  // the module whose output it is, e.g. "layer3"
  int64_t channels = 0;
  int64_t reduction = 1;  // input size over the level's size; 0: [N, channels], no map. Of token
                          // models 1, and the level is [N, T, channels]
};

// Published weights and how their images were prepared.
struct WeightsInfo {
  std::string url = {}, sha256 = {}, licence = {};
  int64_t input_size = 224;
  double crop_fraction = 0.875;
  std::vector<double> mean = {}, stddev = {};
};

struct ModelInfo {
  int64_t num_classes = 0;
  int64_t in_channels = 3;
  int64_t input_height = 224, input_width = 224;  // what the model was designed for
  int64_t min_input = 1;                          // smallest height and width it can take
  int64_t max_input = 0;                          // largest; 0: any
  int64_t vocabulary = 0;                         // of token models: ids it reads are below this
  int64_t context = 0;                            // and this is the longest sequence
  std::string classifier = {};                    // name of the last layer, e.g. "fc"
  std::vector<FeatureLevel> levels = {};
  std::vector<WeightsInfo> weights = {};

  bool takes_tokens() const { return vocabulary > 0; }
};

// What a forward says beside its output.
struct Extras {
  at::Tensor penalty = {};                                  // scalar to add to the loss
  std::vector<std::pair<std::string, double>> values = {};  // numbers to report
};

// Another output of a forward, and the weight of its loss beside that of the output itself.
struct Exit {
  at::Tensor output;
  double weight = 1;
};

class Model : public torch::nn::Module {
 public:
  // Images [N, in_channels, H, W] to logits [N, num_classes]; token models: ids [N, T] to logits
  // [N, T, num_classes]. Throws ErrorKind::shape with the sizes it can take.
  virtual at::Tensor forward(at::Tensor x) = 0;
  // The outputs of info().levels, finest first.
  virtual std::vector<at::Tensor> features(at::Tensor x) = 0;
  // A fresh last layer for another number of classes (at least 1; 0 is refused). A token model's
  // is a layer of its own then, also where it was tied to the embedding.
  virtual void reset_classifier(int64_t num_classes, Random random) = 0;

  // Takes over a tensor whose size is that of the same architecture for other inputs, such as
  // position embeddings of another image size; false where it does not know how.
  virtual bool adopt(const std::string& name, const at::Tensor& tensor);

  // Of the last forward, whose mean loss over each sample is in `sample_losses` [N], without
  // gradient; asked at most once.
  virtual Extras extras(const at::Tensor& sample_losses);
  // Of the last forward; asked before extras.
  virtual std::vector<Exit> exits();

  const ModelInfo& info() const { return info_; }
  void set_input_size(int64_t size) { info_.input_height = info_.input_width = size; }
  void set_weights(std::vector<WeightsInfo> weights) { info_.weights = std::move(weights); }

 protected:
  // Throws ErrorKind::shape unless x is a floating-point [N, in_channels, H, W] with H and W from
  // min_input to max_input; of a token model unless it is int64 [N, T] with T from 1 to `context`,
  // ErrorKind::invalid_argument for an id that is not in the vocabulary.
  void check_input(const at::Tensor& x) const;

  ModelInfo info_;

 private:
  void check_ids(const at::Tensor& ids) const;
};

// Every model by name. `create(component, random)` initialises all weights from `random` alone.
Registry<Model, Random>& models();

}  // namespace residua
