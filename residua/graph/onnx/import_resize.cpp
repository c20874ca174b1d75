// Resizing: of ONNX's many ways of reading between places, those that PyTorch's resizing is.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "residua/graph/onnx/import.h"

namespace residua {

namespace {

struct ResizeForm {
  std::string mode, coordinates, nearest;
  std::vector<double> scales;   // of the spatial axes
  std::vector<int64_t> before;  // sizes of the spatial axes
  std::vector<int64_t> sizes;   // the new ones
};

// Sizes and scales of the spatial axes from the inputs, which name all axes or those of `axes`.
void read_resize_sizes(OnnxNode& n, ValueId x, ResizeForm& form) {
  const Shape shape = n.shape(x);
  const size_t scales_at = n.opset() < 11 ? 1 : 2, sizes_at = 3;
  std::vector<int64_t> axes(shape.size());
  for (size_t i = 0; i < axes.size(); ++i) axes[i] = static_cast<int64_t>(i);
  axes = n.integers("axes", axes);
  std::vector<double> scales(shape.size(), 1);
  Shape sizes = shape;
  const bool by_sizes = n.opset() >= 11 && n.has(sizes_at) && !n.known(sizes_at).data.empty();
  if (!by_sizes && !n.has(scales_at)) n.refuse("needs sizes or scales");
  const Numbers& given = n.known(by_sizes ? sizes_at : scales_at);
  if (given.data.size() != axes.size()) n.refuse("needs one size or scale for each axis");
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto axis = static_cast<size_t>(n.axis(axes[i], n.rank(x)));
    const auto from = static_cast<double>(shape[axis]);
    if (by_sizes) {
      sizes[axis] = whole_number(given.data[i]);
      scales[axis] = static_cast<double>(sizes[axis]) / from;
    } else {
      scales[axis] = given.data[i];
      // The product is one of single precision by definition: 5 times 1.4 is 7.
      const float product = static_cast<float>(from) * static_cast<float>(given.data[i]);
      sizes[axis] = whole_number(std::floor(static_cast<double>(product)));
    }
    if (!(scales[axis] > 0) || sizes[axis] < 1 || sizes[axis] > kMaxAxis)
      n.refuse("resizes to a size out of range");
  }
  if (shape.size() < 3 || sizes[0] != shape[0] || sizes[1] != shape[1])
    n.unsupported("resizes batch or channels", to_string(shape));
  form.before.assign(shape.begin() + 2, shape.end());
  form.sizes.assign(sizes.begin() + 2, sizes.end());
  form.scales.assign(scales.begin() + 2, scales.end());
}

// The place of the input that ONNX reads for place i of an axis, nearest mode.
int64_t nearest_place(OnnxNode& n, const ResizeForm& form, size_t axis, int64_t i) {
  const double size = static_cast<double>(form.before[axis]);
  const double to = static_cast<double>(form.sizes[axis]), x = static_cast<double>(i);
  const double scale = form.scales[axis];
  double at = 0;
  if (form.coordinates == "asymmetric")
    at = x / scale;
  else if (form.coordinates == "half_pixel")
    at = (x + 0.5) / scale - 0.5;
  else if (form.coordinates == "pytorch_half_pixel")
    at = to > 1 ? (x + 0.5) / scale - 0.5 : 0;
  else if (form.coordinates == "align_corners")
    at = to > 1 ? x * (size - 1) / (to - 1) : 0;
  else
    n.unsupported("resizes with coordinates that Residua does not have", form.coordinates);
  // A number that only rounding keeps from being whole is whole.
  if (std::abs(at - std::round(at)) < 1e-9 * (1 + std::abs(at))) at = std::round(at);
  if (form.nearest == "floor")
    at = std::floor(at);
  else if (form.nearest == "ceil")
    at = std::ceil(at);
  else if (form.nearest == "round_prefer_floor")
    at = std::ceil(at - 0.5);
  else if (form.nearest == "round_prefer_ceil")
    at = std::floor(at + 0.5);
  else
    n.refuse("has an unknown nearest_mode", {}, form.nearest);
  return std::clamp<int64_t>(static_cast<int64_t>(at), 0, form.before[axis] - 1);
}

// Ours is place floor(i n / m); another choice of places is a Gather along the axis.
ValueId resize_nearest(OnnxNode& n, ValueId x, const ResizeForm& form) {
  bool as_ours = true;
  std::vector<std::vector<int64_t>> places(form.sizes.size());
  for (size_t axis = 0; axis < form.sizes.size(); ++axis) {
    if (form.sizes[axis] > 65536) n.unsupported("resizes to too long an axis");
    for (int64_t i = 0; i < form.sizes[axis]; ++i) {
      places[axis].push_back(nearest_place(n, form, axis, i));
      as_ours &= places[axis].back() == i * form.before[axis] / form.sizes[axis];
    }
  }
  if (as_ours) return n.add(op::Resize{form.sizes, ResizeMode::nearest}, {x});
  for (size_t axis = 0; axis < places.size(); ++axis)
    x = n.add(op::Gather{static_cast<int64_t>(2 + axis)}, {x, n.list(places[axis])});
  return x;
}

ValueId resize_between(OnnxNode& n, ValueId x, const ResizeForm& form, ResizeMode mode) {
  for (size_t i = 0; i < form.sizes.size(); ++i) {
    const double exact = static_cast<double>(form.before[i]) * form.scales[i];
    if (std::abs(exact - static_cast<double>(form.sizes[i])) > 1e-4)
      n.unsupported("resizes by a scale that gives no whole size");
    if (form.coordinates == "pytorch_half_pixel" && form.sizes[i] == 1 && form.before[i] != 1)
      n.unsupported("resizes to one place by pytorch_half_pixel");
  }
  const bool align = form.coordinates == "align_corners";
  const bool same = form.sizes == form.before;
  if (!align && !same && form.coordinates != "half_pixel" &&
      form.coordinates != "pytorch_half_pixel")
    n.unsupported("resizes with coordinates that Residua does not have", form.coordinates);
  return n.add(op::Resize{form.sizes, mode, align}, {x});
}

void import_resize(OnnxNode& n) {
  const ValueId x = n.in(0);
  const bool old = n.opset() < 11;
  ResizeForm form{n.text("mode", "nearest"),
                  n.text("coordinate_transformation_mode", old ? "asymmetric" : "half_pixel"),
                  n.text("nearest_mode", old ? "floor" : "round_prefer_floor"),
                  {},
                  {},
                  {}};
  n.ignore({"extrapolation_value"});  // only tf_crop_and_resize reads it, which is refused
  if (n.integer("antialias", 0) != 0 || n.integer("exclude_outside", 0) != 0)
    n.unsupported("smooths, or leaves out places outside");
  if (n.text("keep_aspect_ratio_policy", "stretch") != "stretch")
    n.unsupported("keeps the aspect ratio");
  const double coefficient = n.number("cubic_coeff_a", -0.75);
  read_resize_sizes(n, x, form);
  if (form.mode == "nearest") return n.give(resize_nearest(n, x, form));
  if (form.mode == "linear") return n.give(resize_between(n, x, form, ResizeMode::linear));
  if (form.mode != "cubic") n.refuse("has an unknown mode", {}, form.mode);
  if (coefficient != -0.75) n.unsupported("has another cubic coefficient than -0.75");
  n.give(resize_between(n, x, form, ResizeMode::cubic));
}

}  // namespace

void add_resize_operators(OnnxOperators& table) {
  table["Resize"] = import_resize;
  table["Upsample"] = import_resize;
}

}  // namespace residua
