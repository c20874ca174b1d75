#include "residua/recipes/predict.h"

#include <torch/torch.h>

#include "residua/core/error.h"
#include "residua/train/device.h"
#include "residua/train/precision.h"
#include "residua/train/tasks/classification_review.h"

namespace residua {

namespace {

constexpr size_t kImagesAtOnce = 32;

at::Tensor read_batch(const Pipeline& pipeline, std::span<const std::string> paths) {
  at::Tensor input = at::empty({static_cast<int64_t>(paths.size()), pipeline.channels(),
                                pipeline.height(), pipeline.width()},
                               at::kFloat);
  Pipeline::Scratch scratch;
  float* out = input.data_ptr<float>();
  for (const std::string& path : paths) {
    pipeline.apply(read_image(path), Random(0), {out, static_cast<size_t>(pipeline.elements())},
                   PixelLayout::channels_first, scratch);
    out += pipeline.elements();
  }
  return input;
}

}  // namespace

std::vector<ImagePrediction> predict_images(const TrainedModel& trained,
                                            const std::vector<std::string>& paths, int64_t top_k) {
  if (trained.tokenizer)
    throw Error(ErrorKind::unsupported, {.where = trained.weights,
                                         .rule = "is a language model, which sees no images",
                                         .hint = "`residua generate` lets it write"});
  const torch::NoGradGuard no_grad;
  const LoopOptions& loop = trained.options.loop;
  const at::Device device = parse_device(loop.device);
  const auto format =
      loop.channels_last ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
  const Pipeline pipeline = prediction_pipeline(trained);
  std::vector<ImagePrediction> predictions;
  for (size_t begin = 0; begin < paths.size(); begin += kImagesAtOnce) {
    const auto part =
        std::span(paths).subspan(begin, std::min(kImagesAtOnce, paths.size() - begin));
    const at::Tensor input = read_batch(pipeline, part).to(device).contiguous(format);
    const AutocastScope autocast(loop.amp, device);
    const at::Tensor logits = trained.model->forward(input).to(at::kCPU, at::kFloat);
    for (size_t i = 0; i < part.size(); ++i)
      predictions.push_back({part[i], top_classes(logits[static_cast<int64_t>(i)], top_k)});
  }
  return predictions;
}

}  // namespace residua
