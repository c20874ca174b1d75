#pragma once
// Tiny networks of every kind that carries a stream, and the connections that ride them, for tests.

#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "residua/models/stream_model.h"

namespace residua {

struct TinyCarrier {
  std::string label;
  Component model;
  int64_t channels = 3, size = 16;  // of its images; channels 0: ids [batch, size]

  // Images, or ids below 5.
  at::Tensor input(int64_t batch, uint64_t seed = 7) const;
  std::vector<int64_t> output(int64_t batch) const {
    return channels > 0 ? std::vector<int64_t>{batch, 5} : std::vector<int64_t>{batch, size, 5};
  }
  // Throws what the connection throws when it cannot ride.
  std::shared_ptr<StreamModel> make(const Component& connection, uint64_t seed = 1) const;
};

std::vector<TinyCarrier> tiny_carriers();
const TinyCarrier& tiny_carrier(const std::string& label);

// What a general test of a connection must know of it.
struct TinyConnection {
  Component component;
  // The output in training is a differentiable function whose derivative backward computes: not
  // for straight-through and sampled decisions.
  bool differentiable = true;
  // Steps in which training lowers the loss of a few images of noise.
  int64_t steps = 30;
  // In evaluation a sample's output depends on that sample alone.
  bool independent_samples = true;

  std::string label() const;
};

// Every registered connection with its defaults, and variants.
std::vector<TinyConnection> tiny_connections();

// The stream after each site of an evaluation pass.
std::vector<at::Tensor> stream_trace(StreamModel& model, const at::Tensor& x);
// The state after the last site of a pass in the model's present mode.
State last_state(StreamModel& model, const at::Tensor& x);
// Copies the parameters and buffers of one model to the equally named ones of another.
void copy_weights(const torch::nn::Module& from, torch::nn::Module& to);
// Of a CIFAR ResNet or ResNet, by site.
std::vector<std::shared_ptr<class ResidualBlock>> blocks_of(const StreamModel& model);

inline void PrintTo(const TinyCarrier& c, std::ostream* stream) { *stream << c.label; }
inline void PrintTo(const TinyConnection& c, std::ostream* stream) { *stream << c.label(); }

}  // namespace residua
