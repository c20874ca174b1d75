// The rule that gives every tensor of a card its values: a 64-bit hash of its name and of the
// element's index.

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/torch.h>

#include <cmath>
#include <regex>

#include "residua/core/error.h"
#include "residua/core/random.h"
#include "residua/models/golden.h"

namespace residua {

namespace {

class NameHash {
 public:
  explicit NameHash(std::string_view name) : start_(fnv1a64(name)) {}
  uint64_t bits(int64_t i) const {
    return mix64(start_ + (static_cast<uint64_t>(i) + 1) * 0x9E3779B97F4A7C15);
  }
  double unit(int64_t i) const { return static_cast<double>(bits(i) >> 40) * 0x1p-24; }  // [0, 1)

 private:
  uint64_t start_;
};

// Values are offset + scale * v, with v either u in [0, 1) or s = 2 u - 1.
struct AffineRule {
  double offset, scale;
  bool symmetric;

  double value(double u) const { return offset + scale * (symmetric ? 2 * u - 1 : u); }
};

bool matches_whole(const std::string& name, const std::string& pattern) {
  try {
    return std::regex_match(name, std::regex(pattern));
  } catch (const std::regex_error& e) {
    throw Error(ErrorKind::corrupt_file, {.where = "fill",
                                          .rule = "is not a regular expression",
                                          .received = pattern,
                                          .hint = e.what()});
  }
}

AffineRule rule_for(const std::string& name, at::IntArrayRef shape, int64_t count,
                    const std::vector<CardFill>& fill) {
  for (const CardFill& f : fill)
    if (matches_whole(name, f.pattern)) return {f.low, f.high - f.low, false};
  if (name.ends_with("running_var")) return {0.5, 1, false};
  if (name.ends_with("running_mean")) return {0, 0.1, true};
  if (shape.size() >= 2) {
    const double fan_in = static_cast<double>(count) / static_cast<double>(shape[0]);
    return {0, std::sqrt(3.0 / fan_in), true};
  }
  for (const char* gain : {"weight", "gamma", "scale"})
    if (name.ends_with(gain)) return {1, 0.1, true};
  return {0, 0.1, true};
}

at::Tensor hashed_tensor(const std::string& name, at::IntArrayRef shape, const AffineRule& rule) {
  at::Tensor tensor = at::empty(shape, at::kFloat);
  float* const data = tensor.data_ptr<float>();
  const NameHash hash(name);
  at::parallel_for(0, tensor.numel(), 1 << 15, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) data[i] = static_cast<float>(rule.value(hash.unit(i)));
  });
  return tensor;
}

}  // namespace

void golden_fill(const std::string& name, const at::Tensor& tensor,
                 const std::vector<CardFill>& fill) {
  const auto values = [&](const std::string& part) {
    return hashed_tensor(part, tensor.sizes(),
                         rule_for(part, tensor.sizes(), tensor.numel(), fill));
  };
  const at::Tensor target = tensor.detach();
  if (tensor.is_complex())
    target.copy_(at::complex(values(name + "#re"), values(name + "#im")));
  else if (tensor.is_floating_point())
    target.copy_(values(name));
}

at::Tensor golden_input(const CardInput& input) {
  const std::string name = "input:" + input.name;
  if (input.kind == "uniform") return hashed_tensor(name, input.shape, {0, 1, true});
  if (input.kind == "positive") return hashed_tensor(name, input.shape, {0, 1, false});
  if (input.kind != "ids")
    throw Error(ErrorKind::unsupported, {.where = name,
                                         .rule = "is of a kind that this version does not know",
                                         .expected = "uniform, positive or ids",
                                         .received = input.kind});
  if (input.high < 1)
    throw Error(ErrorKind::corrupt_file, {.where = name, .rule = "ids need `high`, at least 1"});
  at::Tensor ids = at::empty(input.shape, at::kLong);
  int64_t* const data = ids.data_ptr<int64_t>();
  const NameHash hash(name);
  for (int64_t i = 0; i < ids.numel(); ++i)
    data[i] = static_cast<int64_t>((hash.bits(i) >> 33) % static_cast<uint64_t>(input.high));
  return ids;
}

}  // namespace residua
