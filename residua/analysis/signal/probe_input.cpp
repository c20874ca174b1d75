#include "residua/analysis/signal/probe_input.h"

#include <torch/torch.h>

#include "residua/nn/init.h"
#include "residua/nn/state.h"
#include "residua/train/checkpoint_store.h"

namespace residua {

std::shared_ptr<Model> signal_model(const ProbeContext& context, const Component& fresh,
                                    const Random& random) {
  if (context.weights.empty()) return models().create(fresh, random);
  struct {
    Component model;
    void fields(Fields& f) { f.add("model", model, ""); }
  } part;
  assign(part, {{"model", context.configuration.at("model")}}, "configuration");
  auto model = models().create(part.model, Random(0));
  const LoadOptions options{.ignore = checkpoint_extra_names()};
  if (const auto found = find_checkpoint(context.weights))
    load_weights(*model, load_checkpoint(*found).evaluated_weights(), options);
  else
    load_weights(*model, *open_tensor_file(context.weights), options);
  return model;
}

at::Tensor normal_images(const Model& model, int64_t batch, int64_t size, const Random& random) {
  const ModelInfo& info = model.info();
  const int64_t height = size > 0 ? size : info.input_height;
  const int64_t width = size > 0 ? size : info.input_width;
  const at::Tensor x = at::empty({batch, info.in_channels, height, width}, at::kFloat);
  fill_normal(x, 1, random);
  return x;
}

}  // namespace residua
