#pragma once

#include "residua/core/options.h"

namespace residua {

struct EmaOptions {
  double decay = 0.999;
  bool warmup = true;  // decay grows as (1 + n) / (10 + n) until it reaches `decay`

  void fields(Fields& f) {
    f.add("decay", decay, "share of the average that is kept at each step",
          {.min = 0, .max = 1, .open_max = true});
    f.add("warmup", warmup,
          "shorter memory in the first steps: (1 + n) / (10 + n) after n updates");
  }
};

}  // namespace residua
