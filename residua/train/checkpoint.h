#pragma once
// Checkpoints: all that a run needs to go on to the same bits, and a model that other programs can
// read.
//
//   checkpoints/step-0000001234/
//     weights.safetensors      parameters and buffers under the reference's names
//     ema.safetensors          their running average, where the run keeps one
//     optimizer.safetensors    momenta and the like
//     manifest.json            format version, SHA-256 of each file and of itself, configuration,
//     position, metrics
//
// Every file is written atomically and the manifest last, so a folder with a manifest is complete
// and one without is none.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "residua/core/json.h"
#include "residua/io/tensor_file.h"
#include "residua/nn/state.h"

namespace residua {

// What is saved. Tensors may be on any device and of any strides.
struct CheckpointContent {
  int64_t step = 0;
  NamedTensors model, optimizer, ema;  // ema may be empty
  Json configuration;                  // resolved options of the run
  Json data;                           // classes and preprocessing, see recipes/experiment.h
  Json state;                          // position in the run, see train/train_state.h
  Json metrics;                        // of the last evaluation
};

// What is read: files whose checksums have been verified.
struct Checkpoint {
  std::string path;
  Json manifest;
  std::unique_ptr<TensorFile> model, optimizer, ema;  // ema may be null

  int64_t step() const { return manifest.at("step").get<int64_t>(); }
  const Json& configuration() const { return manifest.at("configuration"); }
  // What evaluation uses: the average where there is one.
  const TensorFile& evaluated_weights() const { return ema ? *ema : *model; }
};

// Names in `evaluated_weights()` that are no part of the model.
std::vector<std::string> checkpoint_extra_names();

NamedTensors read_tensors(const TensorFile& file);

// Writes a checkpoint into a folder that is made for it; `best` names the best one of the run so
// far. When it throws, the folder is gone again.
void save_checkpoint(const std::string& path, const CheckpointContent& content,
                     const std::string& best);

// Whether `path` is the folder of a complete checkpoint.
bool is_checkpoint(const std::string& path);

// Throws ErrorKind::not_found when `path` holds no manifest, ErrorKind::corrupt_file naming the
// file that is missing, truncated or changed, ErrorKind::unsupported for a newer format.
Checkpoint load_checkpoint(const std::string& path);

}  // namespace residua
