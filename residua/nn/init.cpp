#include "residua/nn/init.h"

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>

#include <cmath>
#include <numbers>

#include "residua/core/error.h"

namespace residua {

namespace {

thread_local bool skip_initialization = false;

// Each piece draws from its own stream, so that pieces can be filled in parallel and give the same
// numbers.
constexpr int64_t kPiece = 4096;

template <class FillPiece>
void fill_pieces(const at::Tensor& tensor, const Random& random, FillPiece fill_piece) {
  if (skip_initialization) return;
  if (!tensor.is_contiguous() || !tensor.device().is_cpu())
    throw Error(ErrorKind::internal, {.where = "fill", .rule = "needs a contiguous CPU tensor"});
  AT_DISPATCH_FLOATING_TYPES(tensor.scalar_type(), "fill", [&] {
    scalar_t* const data = tensor.data_ptr<scalar_t>();
    const int64_t count = tensor.numel(), pieces = (count + kPiece - 1) / kPiece;
    at::parallel_for(0, pieces, 4, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p)
        fill_piece(data + p * kPiece, std::min(kPiece, count - p * kPiece),
                   random.split(static_cast<uint64_t>(p)));
    });
  });
}

}  // namespace

void fill_normal(const at::Tensor& tensor, double stddev, const Random& random) {
  fill_pieces(tensor, random, [stddev](auto* data, int64_t count, Random stream) {
    using Scalar = std::remove_pointer_t<decltype(data)>;
    for (int64_t i = 0; i < count; i += 2) {  // Box-Muller gives two at a time
      const double radius = stddev * std::sqrt(-2 * std::log(1 - stream.uniform()));
      const double angle = 2 * std::numbers::pi * stream.uniform();
      data[i] = static_cast<Scalar>(radius * std::cos(angle));
      if (i + 1 < count) data[i + 1] = static_cast<Scalar>(radius * std::sin(angle));
    }
  });
}

void fill_uniform(const at::Tensor& tensor, double bound, const Random& random) {
  fill_pieces(tensor, random, [bound](auto* data, int64_t count, Random stream) {
    using Scalar = std::remove_pointer_t<decltype(data)>;
    for (int64_t i = 0; i < count; ++i)
      data[i] = static_cast<Scalar>(stream.uniform(-bound, bound));
  });
}

SkipInitialization::SkipInitialization() : outer_(skip_initialization) {
  skip_initialization = true;
}
SkipInitialization::~SkipInitialization() { skip_initialization = outer_; }

}  // namespace residua
