#include "tests/train/tiny_run.h"

#include <torch/torch.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "residua/data/loader.h"
#include "residua/data/memory_dataset.h"
#include "residua/nn/observe.h"
#include "residua/nn/state.h"
#include "residua/train/event_log.h"
#include "residua/train/tasks/classification.h"
#include "residua/train/tensorboard.h"

namespace residua::test {

TinyNet::TinyNet(uint64_t seed, double dropout, int64_t width) : dropout_(dropout) {
  const Random random(seed);
  conv = register_module("conv", conv2d(3, width, 3, {.padding = 1}, random.split("conv")));
  bn = register_module("bn", std::make_shared<BatchNorm2d>(width));
  fc = register_module("fc", linear(width, 3, {}, random.split("fc")));
}

at::Tensor TinyNet::forward(const at::Tensor& x) {
  at::Tensor y = batch_norm_act(*bn, conv->forward(x), Act::relu);
  y = torch::dropout(y.mean({2, 3}), dropout_, is_training());
  return fc->forward(y);
}

std::shared_ptr<const Dataset> tiny_dataset(int64_t images, uint64_t seed) {
  Random random(seed);
  std::vector<uint8_t> pixels;
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < images; ++i) {
    const int64_t label = i % 3;
    labels.push_back(label);
    for (int p = 0; p < 6 * 6; ++p)
      for (int64_t c = 0; c < 3; ++c)
        pixels.push_back(static_cast<uint8_t>(random.integer(0, 160) + (c == label ? 40 : 0)));
  }
  DatasetInfo info{
      .name = "tiny", .classes = {"red", "green", "blue"}, .channels = 3, .height = 6, .width = 6};
  info.mean = {0.4, 0.4, 0.4};
  info.stddev = {0.2, 0.2, 0.2};
  return std::make_shared<MemoryDataset>(info, std::move(pixels), std::move(labels),
                                         std::vector<RecordSource>{{"tiny", images, 0}});
}

TinyRun make_tiny_run(const TinyRunOptions& o) {
  TinyRun run;
  run.net = std::make_shared<TinyNet>(static_cast<uint64_t>(o.loop.seed), o.dropout, o.width);
  const auto train = tiny_dataset(o.images, 1), test = tiny_dataset(o.images / 2, 2);
  const bool channels_last = o.loop.channels_last;
  const Random random(static_cast<uint64_t>(o.loop.seed));
  run.parts.network = make_network(run.net);
  run.parts.task =
      std::make_shared<ClassificationTask>(ClassificationOptions{.label_smoothing = 0.1});
  run.parts.optimizer = optimizers().create(
      {"sgd", {{"lr", o.lr}, {"momentum", o.momentum}, {"nesterov", o.momentum > 0}}},
      parameter_groups(*run.net));
  run.parts.schedule = schedules().create("cosine");
  run.parts.train =
      std::make_shared<Loader>(train, Pipeline(train->info(), o.augment, Phase::train),
                               LoaderOptions{.batch_size = o.batch_size,
                                             .workers = o.workers,
                                             .shuffle = true,
                                             .channels_last = channels_last},
                               random.split("train"));
  run.parts.test = std::make_shared<Loader>(
      test, Pipeline(test->info(), o.augment, Phase::test),
      LoaderOptions{.batch_size = 16, .workers = o.workers, .channels_last = channels_last},
      Random(0));
  if (o.folder.empty()) return run;
  std::filesystem::create_directories(o.folder);
  run.parts.checkpoints = std::make_shared<CheckpointStore>(o.folder + "/checkpoints", o.loop.keep);
  run.parts.recorders = {
      std::make_shared<JsonLinesLog>(o.folder + "/metrics.jsonl"),
      std::make_shared<TensorBoardLog>(o.folder + "/events.out.tfevents.residua")};
  return run;
}

TemporaryFolder::TemporaryFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "residua-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string weight_bytes(const torch::nn::Module& module) {
  std::string bytes;
  for (const auto& [name, tensor] : state_dict(module)) {
    const at::Tensor t = tensor.detach().cpu().contiguous();
    bytes.append(static_cast<const char*>(t.data_ptr()), t.nbytes());
  }
  return bytes;
}

std::string timeless_lines(const std::string& path) {
  std::ifstream file(path);
  std::string all;
  for (std::string text; std::getline(file, text);) {
    Json line = Json::parse(text);
    line.erase("seconds");
    line.erase("images_per_second");
    line.erase("tokens_per_second");
    all += line.dump() + "\n";
  }
  return all;
}

}  // namespace residua::test
