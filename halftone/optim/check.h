// Checks of the numbers that schedules and averages are made with.
#pragma once

#include <cstdint>
#include <string>

#include "halftone/base/error.h"
#include "halftone/base/text.h"

namespace halftone::optim {

// Each throws Error "<what>: <given>; expected …" for a value out of range and for NaN.
inline void check_at_least(std::int64_t given, std::int64_t least, const char* what) {
  if (given < least) {
    throw Error(std::to_string(given), "at least " + std::to_string(least), what);
  }
}

inline void check_positive(double given, const char* what) {
  if (!(given > 0) || given > 1e300) throw Error(format_number(given), "a positive number", what);
}

inline void check_between(double given, double least, double most, const char* what) {
  if (!(given >= least && given <= most)) {
    throw Error(format_number(given),
                "a number from " + format_number(least) + " to " + format_number(most), what);
  }
}

}  // namespace halftone::optim
