#pragma once
// The options of a training run. Free of libtorch, so that help and configuration need none.

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "residua/core/options.h"
#include "residua/data/options.h"

namespace residua {

enum class Amp { off, bf16, fp16 };
template <>
struct EnumNames<Amp> {
  static constexpr std::array names{"off", "bf16", "fp16"};
};

// What the loop itself needs to know. Saving and logging are part of it: they decide where a run
// can be continued.
struct LoopOptions {
  int64_t epochs = 30;
  int64_t seed = 0;
  std::string device = "cpu";
  Amp amp = Amp::off;
  bool channels_last = true;
  int64_t accumulate = 1;
  double clip_grad_norm = 0;
  double clip_agc = 0;
  double ema_decay = 0;
  int64_t eval_every = 1;
  int64_t save_every = 0;
  int64_t keep = 2;
  int64_t log_every = 10;

  void fields(Fields& f) {
    const Range unit{.min = 0, .max = 1, .open_max = true};
    f.add("epochs", epochs,
          "passes over the training images; of text `data.steps_per_epoch` batches", {.min = 1});
    f.add("seed", seed, "of everything random: weights, order, augmentation, dropout", {.min = 0});
    f.add("device", device, "cpu, cuda or cuda:N");
    f.add("amp", amp, "mixed precision: bf16 on any device, fp16 on cuda only");
    f.add("channels_last", channels_last, "keep images and filters with channels innermost");
    f.add("accumulate", accumulate, "batches whose gradients are averaged for one step",
          {.min = 1});
    f.add("clip_grad_norm", clip_grad_norm, "largest norm of the gradient; 0: no limit",
          {.min = 0});
    f.add("clip_agc", clip_agc,
          "largest gradient of a unit over its weights, the classifier's excepted; 0: no limit",
          {.min = 0});
    f.add("ema_decay", ema_decay,
          "of the running average of the weights that is evaluated; 0: none", unit);
    f.add("eval_every", eval_every, "epochs between evaluations; the last epoch always is",
          {.min = 1});
    f.add("save_every", save_every, "steps between checkpoints; 0: one after every epoch",
          {.min = 0});
    f.add("keep", keep, "newest checkpoints that stay, besides the best", {.min = 1});
    f.add("log_every", log_every, "steps between lines of the log", {.min = 1});
  }
};

// A whole run: what is trained, on what (images are classified, of text the next token is learned),
// how. The defaults train resnet20 on the digits that come with the library, in well under a minute
// on two cores.
struct TrainOptions {
  Component model = "resnet20";
  Component data = "digits";
  Component optim = "sgd";
  Component schedule = "cosine";
  Component memory = "none";
  AugmentOptions augment = {};
  int64_t batch_size = 32;
  double label_smoothing = 0;
  std::vector<std::string> trainable = {};
  LoopOptions loop = {};
  int64_t workers = 2;
  int64_t threads = 0;
  std::string out = {};

  void fields(Fields& f) {
    f.add("model", model, "what is trained: a name of `residua list models`, and its options");
    f.add("data", data,
          "a name of `residua list datasets`, and its options; `data.skip_corrupt=true` leaves out "
          "images that cannot be read");
    f.add("optim", optim,
          "a name of `residua list optimizers`, and its options; also weight_decay, "
          "decay_norm_and_bias and rules (by parameter name)");
    f.add("schedule", schedule,
          "of the learning rate: a name of `residua list schedules`, and its options");
    f.add("memory", memory,
          "which activations are kept for the gradient, the others being computed again: a name of "
          "`residua list memory`, and its options");
    f.add("augment", augment, "how training images are changed at random");
    f.add("batch_size", batch_size, "images or sequences in a batch", {.min = 1, .max = 1 << 20});
    f.add("label_smoothing", label_smoothing, "part of the target that is spread over all classes",
          {.min = 0, .max = 1, .open_max = true});
    f.add("trainable", trainable,
          "only parameters whose names match one of these shell patterns learn, e.g. "
          "[\"blocks.*.attn.*\", \"head.*\"]; empty: all");
    loop.fields(f);
    f.add("workers", workers, "threads that prepare batches; 0: none but the training one",
          {.min = 0, .max = 256});
    f.add("threads", threads, "that compute; 0: as many as this process may use",
          {.min = 0, .max = 4096});
    f.add("out", out, "folder of the run; empty: runs/MODEL-DATA, numbered");
  }
};

}  // namespace residua
