#include "halftone/kernels/quantize/grid.h"

#include <cmath>
#include <limits>

namespace halftone::kernels {
namespace {

constexpr std::uint32_t field(int number) { return static_cast<std::uint32_t>(number) << 23; }

// What stands for numbers that are too large, and for NaN, by value and by code.
void set_specials(const NumberFormat& format, Overflow overflow, Grid& grid) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  const std::uint32_t largest = largest_code(format);
  const std::uint32_t sign = format.is_fixed_point() ? 0 : 1u << magnitude_bits(format);
  grid.sign_bit = sign;
  grid.signed_zero = format.specials != Specials::fnuz && !format.is_fixed_point();
  grid.nan = kNan;
  float special = kNan;
  std::uint32_t special_code = 0;
  switch (format.specials) {
    case Specials::ieee:
      special = kInfinity;
      special_code = largest + 1;
      grid.nan_code = special_code | 1u << (format.mantissa_bits - 1);
      break;
    case Specials::fn:
      special_code = grid.nan_code = largest + 1;
      break;
    case Specials::fnuz:
      grid.nan = special = std::copysign(kNan, -1.0f);
      special_code = grid.nan_code = sign;
      break;
    case Specials::none:
      special = grid.largest;
      special_code = largest;
      grid.nan = format.is_fixed_point() ? 0.0f : -0.0f;
      grid.nan_code = sign;
      break;
  }
  const bool saturate = overflow == Overflow::saturate;
  grid.overflow = saturate ? grid.largest : special;
  grid.saturates = grid.overflow == grid.largest;
  grid.overflow_code = saturate ? largest : special_code;
}

}  // namespace

Grid make_grid(const NumberFormat& format, Overflow overflow) {
  const int top = largest_exponent(format), mantissa = format.mantissa_bits;
  Grid grid{};
  grid.largest = largest_value(format);
  grid.limit = std::ldexp(1.0f, top + 1);
  grid.lowest = field(smallest_exponent(format) + 127);
  grid.mantissa = field(mantissa);
  grid.large = field(23 - mantissa);
  // A count of steps is at most 2^(mantissa + 1): with its fraction it stays below 2^31, and the
  // fraction has all bits of an fp32 in the format's normal range.
  grid.fraction_bits = 29 - mantissa;
  grid.inverse = field(254 + mantissa + grid.fraction_bits);
  grid.code_shift = 23 - mantissa;
  grid.complement = format.is_fixed_point() ? 0xffffffffu : 0;
  grid.block_exponent = field(top);
  set_specials(format, overflow, grid);
  return grid;
}

}  // namespace halftone::kernels
