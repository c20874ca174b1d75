#pragma once
// The models that the every-model tests run: each registered one in a tiny variant, and the options
// that change its shape.

#include <ostream>
#include <string>
#include <vector>

#include "residua/models/model.h"

namespace residua {

struct TinyModel {
  Component component;
  int64_t size = 32;        // height and width of its images
  bool dead_start = false;  // begins with branches at zero, whose weights then have no gradient yet

  int64_t length = 0;  // of its sequences; 0: it takes images

  std::string label() const;
  std::shared_ptr<Model> make(uint64_t seed = 1) const {
    return models().create(component, Random(seed));
  }
  // Images of 3 channels, or sequences of ids; the same at each call.
  at::Tensor inputs(int64_t batch = 2) const;
  // With one option changed.
  TinyModel with(const std::string& key, Json value) const;
};

std::vector<TinyModel> tiny_models();

inline void PrintTo(const TinyModel& model, std::ostream* stream) { *stream << model.label(); }

}  // namespace residua
