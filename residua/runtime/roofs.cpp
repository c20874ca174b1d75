#include "residua/runtime/roofs.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "residua/runtime/onednn.h"
#include "residua/runtime/parallel.h"

namespace residua {

namespace {

using dnnl::memory;

constexpr double kMeasuringSeconds = 0.4;

double seconds_of(const std::function<void()>& call) {
  const auto before = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count();
}

// The least time of one call, of as many as fit the time.
double least_within(double limit, const std::function<void()>& call) {
  call();
  double least = 1e30;
  for (double spent = 0; spent < limit;) {
    const double seconds = seconds_of(call);
    spent += seconds;
    least = std::min(least, seconds);
  }
  return least;
}

double product_rate(DType factors, int64_t side) {
  const bool integers = factors == DType::u8 || factors == DType::i8;
  const auto x_type = onednn_type(factors).value();
  const auto w_type = integers ? memory::data_type::s8 : x_type;
  const auto y_type = integers ? memory::data_type::s32 : x_type;
  const memory::dims sizes{side, side};
  const auto any = memory::format_tag::any;
  const dnnl::engine& engine = onednn_engine();
  const dnnl::matmul::primitive_desc pd({{sizes, x_type, memory::format_tag::ab},
                                         {sizes, w_type, any},
                                         {sizes, y_type, memory::format_tag::ab}},
                                        engine);
  std::vector<std::shared_ptr<std::byte>> owners;
  const auto zeros = [&](const memory::desc& desc) {
    owners.push_back(aligned_bytes(static_cast<int64_t>(desc.get_size())));
    std::memset(owners.back().get(), 0, desc.get_size());
    return memory(desc, engine, owners.back().get());
  };
  const std::unordered_map<int, memory> arguments{{DNNL_ARG_SRC, zeros(pd.src_desc())},
                                                  {DNNL_ARG_WEIGHTS, zeros(pd.weights_desc())},
                                                  {DNNL_ARG_DST, zeros(pd.dst_desc())}};
  const dnnl::matmul product(pd);
  dnnl::stream stream(engine);
  const double least =
      least_within(kMeasuringSeconds / 2, [&] { product.execute(stream, arguments); });
  const auto n = static_cast<double>(side);
  return 2 * n * n * n / least;
}

}  // namespace

double Roofs::of(const LayerInfo& layer) const {
  const DType type = layer.arithmetic == DType::i8 ? DType::u8 : layer.arithmetic;
  const auto at = operations.find(type);
  const double compute = at == operations.end() ? 0 : at->second;
  if (layer.bytes == 0 || bytes == 0) return compute;
  const double by_memory =
      static_cast<double>(layer.operations) / static_cast<double>(layer.bytes) * bytes;
  return compute == 0 ? by_memory : std::min(compute, by_memory);
}

double measure_operations(DType factors, int threads) {
  const ThreadCount count(threads);
  try {
    return std::max(
        {product_rate(factors, 384), product_rate(factors, 512), product_rate(factors, 1024)});
  } catch (const dnnl::error&) {
    return 0;
  }
}

double measure_bytes(int threads) {
  const int64_t cache = std::max<int64_t>(sysconf(_SC_LEVEL3_CACHE_SIZE), 0);
  const int64_t half = std::clamp<int64_t>(2 * cache, 64 << 20, 256 << 20);
  const auto memory = aligned_bytes(2 * half);
  std::byte* const data = memory.get();
  const auto in_parts = [&](const auto& body) {
    return least_within(kMeasuringSeconds, [&] { parallel_parts(threads, half, 1 << 20, body); });
  };
  parallel_parts(threads, 2 * half, 1 << 20, [&](int64_t begin, int64_t end) {
    std::memset(data + begin, 0, static_cast<size_t>(end - begin));
  });
  const double copying = in_parts([&](int64_t begin, int64_t end) {
    std::memcpy(data + half + begin, data + begin, static_cast<size_t>(end - begin));
  });
  // Searching for what is not there reads everything.
  const double reading = in_parts([&](int64_t begin, int64_t end) {
    const void* found = std::memchr(data + begin, 1, static_cast<size_t>(end - begin));
    if (found != nullptr) data[half] = std::byte{1};
  });
  return static_cast<double>(half) * std::max(2 / copying, 1 / reading);
}

Roofs measure_roofs(const std::vector<DType>& types, int threads) {
  Roofs roofs{.threads = threads, .operations = {}};
  for (const DType type : types)
    if (const double rate = measure_operations(type, threads); rate > 0)
      roofs.operations[type] = rate;
  roofs.bytes = measure_bytes(threads);
  return roofs;
}

}  // namespace residua
