#pragma once
// Outputs compared, and ONNX Runtime asked for them.

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "residua/graph/numbers.h"
#include "tests/peers/onnx_runtime.h"

namespace residua::testing {

inline void expect_equal(const std::vector<Numbers>& actual, const std::vector<Numbers>& expected,
                         double relative, double absolute) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    EXPECT_EQ(actual[i].type.dtype, expected[i].type.dtype) << "output " << i;
    ASSERT_EQ(actual[i].type.shape, expected[i].type.shape) << "output " << i;
    for (size_t j = 0; j < actual[i].data.size(); ++j) {
      const double wanted = expected[i].data[j], found = actual[i].data[j];
      if (wanted == found || (std::isnan(wanted) && std::isnan(found))) continue;
      ASSERT_NEAR(found, wanted, absolute + relative * std::abs(wanted))
          << "output " << i << ", element " << j;
    }
  }
}

inline std::vector<Numbers> run_peer(const std::string& path, const std::vector<Numbers>& inputs) {
  std::vector<peers::PeerTensor> tensors;
  for (const Numbers& input : inputs) {
    const ConstantData data = write_numbers(input);
    tensors.push_back({input.type.dtype, input.type.shape, {data.bytes.begin(), data.bytes.end()}});
  }
  std::vector<Numbers> results;
  for (const peers::PeerTensor& tensor : peers::OnnxRuntime(path).run(tensors))
    results.push_back(read_numbers({tensor.dtype, tensor.shape}, {nullptr, tensor.bytes}));
  return results;
}

}  // namespace residua::testing
