// What moves, repeats, chooses or makes elements as ONNX.
#include <algorithm>

#include "residua/graph/onnx/export.h"

namespace residua {

// One size that is not known before the run is the rest.
void lower(const op::Reshape& o, OnnxLowering& e) {
  std::vector<int64_t> sizes = o.sizes;
  const bool zero = std::count(sizes.begin(), sizes.end(), 0) > 0;
  e.give(e.emit("Reshape", {e.in(0), e.settings("sizes", sizes)}, {{"allowzero", int64_t{zero}}}));
}

void lower(const op::Transpose& o, OnnxLowering& e) {
  e.give(e.emit("Transpose", {e.in(0)}, {{"perm", o.order}}));
}

void lower(const op::Expand& o, OnnxLowering& e) {
  std::vector<int64_t> sizes = o.sizes;
  std::replace(sizes.begin(), sizes.end(), int64_t{-1}, int64_t{1});  // 1 keeps an axis
  e.give(e.emit("Expand", {e.in(0), e.settings("sizes", sizes)}));
}

void lower(const op::Concat& o, OnnxLowering& e) {
  OnnxNames parts;
  for (size_t i = 0; i < e.inputs(); ++i) parts.push_back(e.in(i));
  e.give(e.emit("Concat", parts, {{"axis", o.axis}}));
}

void lower(const op::Slice& o, OnnxLowering& e) {
  e.give(e.emit("Slice", {e.in(0), e.setting("start", o.start), e.setting("end", o.end),
                          e.list({o.axis}), e.setting("step", o.step)}));
}

void lower(const op::Pad& o, OnnxLowering& e) {
  const std::string mode = o.mode == PadMode::reflect     ? "reflect"
                           : o.mode == PadMode::replicate ? "edge"
                                                          : "constant";
  e.give(e.emit("Pad",
                {e.in(0), e.settings("padding", o.padding), e.scalar(o.value, e.type(0).dtype)},
                {{"mode", mode}}));
}

void lower(const op::Gather& o, OnnxLowering& e) {
  const DType dtype = e.type(1).dtype;
  const bool taken = dtype == DType::i64 || dtype == DType::i32;
  e.give(e.emit("Gather", {e.in(0), taken ? e.in(1) : e.cast(e.in(1), DType::i64)},
                {{"axis", o.axis}}));
}

void lower(const op::Cast& o, OnnxLowering& e) { e.give(e.cast(e.in(0), o.dtype)); }

void lower(const op::Arange& o, OnnxLowering& e) {
  const std::string start = e.as_scalar(e.setting("start", o.start));
  const std::string end = e.as_scalar(e.setting("end", o.end));
  const std::string y = e.emit("Range", {start, end, e.scalar(1, DType::i64)});
  e.give(o.dtype == DType::i64 ? y : e.cast(y, o.dtype));
}

void lower(const op::Fill& o, OnnxLowering& e) {
  e.give(e.emit("Expand", {e.scalar(o.value, o.dtype), e.settings("sizes", o.sizes)}));
}

void lower(const op::Triangle& o, OnnxLowering& e) {
  e.give(e.emit("Trilu", {e.in(0), e.as_scalar(e.setting("diagonal", o.diagonal))},
                {{"upper", int64_t{o.upper}}}));
}

void lower(const op::Resize& o, OnnxLowering& e) {
  const std::string kept = e.emit("Shape", {e.in(0)}, {{"start", int64_t{0}}, {"end", int64_t{2}}});
  const std::string sizes =
      e.emit("Concat", {kept, e.settings("sizes", o.sizes)}, {{"axis", int64_t{0}}});
  OnnxAttributes attributes;
  if (o.mode == ResizeMode::nearest) {
    attributes = {{"mode", "nearest"},
                  {"coordinate_transformation_mode", "asymmetric"},
                  {"nearest_mode", "floor"}};
  } else {
    attributes = {
        {"mode", o.mode == ResizeMode::linear ? "linear" : "cubic"},
        {"coordinate_transformation_mode", o.align_corners ? "align_corners" : "half_pixel"}};
  }
  e.give(e.emit("Resize", {e.in(0), "", "", sizes}, attributes));
}

void lower(const op::PixelShuffle& o, OnnxLowering& e) {
  e.give(e.emit("DepthToSpace", {e.in(0)}, {{"blocksize", o.factor}, {"mode", "CRD"}}));
}

}  // namespace residua
