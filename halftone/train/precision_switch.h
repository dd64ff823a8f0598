// An operation that changed its format while a network trains.
#pragma once

#include <cstdint>
#include <string>

#include "halftone/base/export.h"

namespace halftone {

struct PrecisionSwitch {
  std::int64_t step = 0;  // after which it holds
  std::string name;       // what the rule matches: a parameter, or an operation
  // "fp16"; of an emulated operation the format of its activations, else weights, else gradients.
  std::string from, to;
  std::string reason;
};

// Bits of a format by the name that a switch has: 16 for "bf16", 8 for "e4m3fn".
HALFTONE_API int format_bits(const std::string& name);

}  // namespace halftone
