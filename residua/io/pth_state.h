#pragma once
// From a pickle's values to named tensors (internal to io).

#include <map>
#include <string>
#include <vector>

#include "residua/io/pickle.h"

namespace residua {

struct NamedPickleTensor {
  std::string name;
  size_t tensor;  // index into Pickle::tensors
};

struct PthState {
  std::vector<NamedPickleTensor> tensors;
  std::map<std::string, std::string> metadata;
};

// Chooses the state dict and flattens it; the rules are those of pth.h.
PthState select_pth_state(const Pickle& pickle, const std::string& where);

}  // namespace residua
