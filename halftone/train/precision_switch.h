// An operation that changed its format while a network trains.
#pragma once

#include <cstdint>
#include <string>

#include "halftone/precision/format.h"

namespace halftone {

struct PrecisionSwitch {
  std::int64_t step = 0;  // after which it holds
  std::string name;       // what the rule matches: a parameter, or an operation
  Format from = Format::fp16, to = Format::fp32;
  std::string reason;
};

}  // namespace halftone
