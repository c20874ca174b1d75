#pragma once
// Where and how a plan keeps a value (internal to runtime): element type, order in memory, and what
// owns the memory. One value of the graph may have several forms, such as a blocked and a row-major
// one.

#include <cstdint>
#include <memory>
#include <vector>

#include "residua/graph/graph.h"

namespace residua {

// The order of the elements of x [N, C, spatial...]. Blocked: C is cut into blocks, which become
// the last axis, [N, C / block, spatial..., block]; the last block is filled up with zeros.
enum class Layout { plain, channels_last, blocked4, blocked8, blocked16 };

using FormId = int64_t;
inline constexpr FormId kNoForm = -1;

struct Form {
  DType dtype = DType::f32;
  Shape shape = {};
  Layout layout = Layout::plain;
  float scale = 0;  // of an integer form that stands for real numbers: number = scale * integer

  // Owner of the memory: exactly one of constant, input, output, another form, or the plan's block.
  std::shared_ptr<const void> constant = {};
  int64_t input = -1, output = -1;
  FormId base = kNoForm;  // lies inside this form, `offset` bytes behind its beginning
  int64_t offset = 0;
  bool shared = false;               // other values see the same memory: never write over it
  std::vector<ValueId> values = {};  // that it stands for

  bool is_constant() const { return constant != nullptr; }
};

int64_t block_of(Layout layout, const Shape& shape);  // channels that lie side by side
int64_t elements_of(const Shape& shape);
int64_t spatial_of(const Shape& shape);  // places of one channel
int64_t form_bytes(const Form& form);    // filled-up channels included
bool is_padded(const Form& form);        // has filled-up channels
// Whether the bytes of a value are the same in both orders.
bool same_order(const Shape& shape, Layout a, Layout b);

}  // namespace residua
