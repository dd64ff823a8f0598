// How well a number format holds a tensor, from its histogram of exponents. Torch-free.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "halftone/base/export.h"

namespace halftone::numerics {

// Elements by fp32 exponent field, as kernels::ExponentCounts has them.
using ExponentHistogram = std::array<std::int64_t, 256>;

// A candidate. integer: whole numbers up to `max`. scaled: tensors are brought to its range by a
// factor of their own, so that the largest magnitude becomes `max`.
struct CandidateFormat {
  std::string_view name;
  double max;
  int min_exponent;   // of the smallest normal number
  int mantissa_bits;  // stored
  bool scaled, integer;
};

// fp16, bf16, E4M3 and E5M2 (Micikevicius et al. 2022, "FP8 formats for deep learning"), int8.
constexpr std::array<CandidateFormat, 5> kCandidateFormats = {{
    {"fp16", 65504, -14, 10, false, false},
    {"bf16", 0x1.fep127, -126, 7, false, false},
    {"E4M3", 448, -6, 3, true, false},
    {"E5M2", 57344, -14, 2, true, false},
    {"int8", 127, 0, 0, true, true},
}};

// Shares of the elements that are finite and not zero.
struct FormatFit {
  double underflow = 0;  // rounded to zero
  double subnormal = 0;  // held with fewer bits
  double overflow = 0;   // beyond the largest number
  // Signal power over that of the rounding error, in dB, overflow counted as saturated; infinity
  // for no element.
  double sqnr_db = 0;
};

// Within a binade magnitudes are taken as spread evenly, so that shares are exact up to the binade
// of a bound. amax: the largest finite magnitude.
HALFTONE_API FormatFit fit_format(const ExponentHistogram& exponents, std::int64_t zeros,
                                  double amax, const CandidateFormat& format);

// Powers of two between the largest magnitude and the format's largest number; infinity where
// amax is 0. Below 0: it overflows. Meaningless for a scaled format.
HALFTONE_API double headroom_bits(double amax, const CandidateFormat& format);

}  // namespace halftone::numerics
