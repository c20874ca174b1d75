#pragma once
// A site is one evaluation of one residual branch f: an attention, an MLP, the body of a
// convolutional block without its addition. A network is a list of sites in its own order; a
// connection may schedule them otherwise: repeat them, share their weights, take several steps.

#include <array>
#include <cstdint>
#include <vector>

#include "residua/core/options.h"
#include "residua/nn/collective.h"

namespace residua {

enum class SiteKind { conv, attention, mlp };

template <>
struct EnumNames<SiteKind> {
  static constexpr std::array names{"conv", "attention", "mlp"};
};

struct Site {
  int64_t step = 0;      // place in time: 0, 1, ... in the order of execution
  int64_t branch = 0;    // which parameters: index into the carrier's own list of sites
  int64_t block = 0;     // block of the network that the branch belongs to
  int64_t sublayer = 0;  // within its block: attention 0, MLP 1
  SiteKind kind = SiteKind::conv;
  int64_t stage = 0;
  int64_t depth = 0;            // sites of one pass
  int64_t c_in = 0, c_out = 0;  // channels of the stream before and after
  int64_t stride = 1;           // of the stream's height and width
  bool projects = false;  // the carrier's shortcut has weights here, also where the shape stays

  bool changes_shape() const { return stride != 1 || c_in != c_out; }
  bool has_shortcut() const { return projects || changes_shape(); }
};

// Sites in another order or number: step and depth are set to the places in `sites`.
std::vector<Site> numbered(std::vector<Site> sites);

enum class CarrierKind { cnn, vit, gpt, mlp };

template <>
struct EnumNames<CarrierKind> {
  static constexpr std::array names{"cnn", "vit", "gpt", "mlp"};
};

// What a network tells a connection that is to carry its stream.
struct Carrier {
  CarrierKind kind = CarrierKind::mlp;
  std::vector<Site> sites = {};
  bool post_activation = false;      // x <- relu(merge), as in the ResNets of 2015
  Collective* collective = nullptr;  // ranks that hold parts of each branch; null: this one alone

  int64_t width() const { return sites.empty() ? 0 : sites.front().c_in; }
};

}  // namespace residua
