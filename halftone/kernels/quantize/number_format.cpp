#include "halftone/kernels/quantize/number_format.h"

#include <cmath>
#include <limits>

#include "halftone/kernels/quantize/grid.h"

namespace halftone::kernels {

int magnitude_bits(const NumberFormat& format) {
  return format.exponent_bits + format.mantissa_bits;
}

std::uint32_t largest_code(const NumberFormat& format) {
  const std::uint32_t all = (1u << magnitude_bits(format)) - 1;
  if (format.specials == Specials::ieee) return all - (1u << format.mantissa_bits);
  return format.specials == Specials::fn ? all - 1 : all;
}

int smallest_exponent(const NumberFormat& format) {
  return format.is_fixed_point() ? format.mantissa_bits : 1 - format.bias;
}

float magnitude_value(const NumberFormat& format, std::uint32_t code) {
  const int field = static_cast<int>(code >> format.mantissa_bits);
  const std::uint32_t fraction = code & ((1u << format.mantissa_bits) - 1);
  const std::uint32_t leading = field ? 1u << format.mantissa_bits : 0;
  return std::ldexp(static_cast<float>(leading | fraction),
                    smallest_exponent(format) + (field ? field - 1 : 0) - format.mantissa_bits);
}

int largest_exponent(const NumberFormat& format) { return std::ilogb(largest_value(format)); }

std::string format_problem(const NumberFormat& format) {
  const int exponent = format.exponent_bits, mantissa = format.mantissa_bits;
  if (format.is_fixed_point()) {
    const bool plain = format.bias == 0 && format.specials == Specials::none;
    return plain && mantissa >= 1 && mantissa <= 7 ? "" : "fixed point has 2 to 8 bits, no bias";
  }
  if (exponent < 0 || mantissa < 0 || exponent + mantissa > 7) return "more bits than a byte has";
  if (format.specials == Specials::ieee && mantissa == 0) return "NaN needs a mantissa bit";
  if (largest_code(format) < 1u << mantissa) return "no normal number";
  constexpr int kLowest = -98, kLowestStep = -126, kHighest = 99;
  const std::int64_t smallest = std::int64_t{1} - format.bias;
  const std::int64_t highest = smallest + (largest_code(format) >> mantissa) - 1;
  if (smallest < kLowest || smallest - mantissa < kLowestStep || highest > kHighest) {
    return "numbers outside 2^-98 to 2^100";
  }
  return "";
}

float largest_value(const NumberFormat& format) {
  return magnitude_value(format, largest_code(format));
}

float decoded_value(const NumberFormat& format, std::uint8_t code) {
  const int bits = magnitude_bits(format);
  const std::uint32_t magnitude = code & ((1u << bits) - 1);
  const bool negative = code >> bits & 1;
  if (format.is_fixed_point()) {
    const auto value = static_cast<float>(magnitude);
    return negative ? value - static_cast<float>(1u << bits) : value;
  }
  float value;
  if (format.specials == Specials::fnuz && negative && magnitude == 0) {
    value = std::numeric_limits<float>::quiet_NaN();
  } else if (magnitude <= largest_code(format)) {
    value = magnitude_value(format, magnitude);
  } else {
    const bool infinite =
        format.specials == Specials::ieee && magnitude == largest_code(format) + 1;
    value =
        infinite ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN();
  }
  return std::copysign(value, negative ? -1.0f : 1.0f);
}

float decoded_e8m0(std::uint8_t code) {
  if (code == 0xff) return std::numeric_limits<float>::quiet_NaN();
  return std::ldexp(1.0f, static_cast<int>(code) - 127);
}

}  // namespace halftone::kernels
