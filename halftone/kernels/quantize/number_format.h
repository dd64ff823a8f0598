// Number formats of at most eight bits that no CPU computes in: minifloats and fixed point.
#pragma once

#include <cstdint>
#include <string>

#include "halftone/base/export.h"

namespace halftone::kernels {

// Which codes of a minifloat are not finite numbers.
enum class Specials : std::uint8_t {
  ieee,  // all exponent bits set: infinity where the fraction is 0, else NaN
  fn,    // all bits but the sign set: NaN; no infinity (OCP FP8 v1.0: E4M3)
  fnuz,  // the code of -0: NaN; no infinity and no -0
  none,  // all codes are finite (OCP MX v1.0: E2M3, E3M2, E2M1)
};

// A minifloat has a sign, exponent and fraction; subnormals where the exponent bits are 0:
//   (-1)^s 2^(e - bias) (1 + f / 2^mantissa_bits),  (-1)^s 2^(1 - bias) f / 2^mantissa_bits.
// exponent_bits = 0 is fixed point: a whole number from -L to L with L = 2^mantissa_bits - 1, in
// two's complement (its code -L - 1 is never made), so that its scale says the unit. bias is 0 and
// specials none then.
// The code is in the lowest bits of a byte; fixed point's sign fills the byte.
struct NumberFormat {
  int exponent_bits;
  int mantissa_bits;
  int bias;
  Specials specials;

  bool is_fixed_point() const { return exponent_bits == 0; }
  bool operator==(const NumberFormat&) const = default;
};

// The names are those of PyPI's ml_dtypes without "float8_".
inline constexpr NumberFormat kE4M3Fn{4, 3, 7, Specials::fn};
inline constexpr NumberFormat kE4M3{4, 3, 7, Specials::ieee};
inline constexpr NumberFormat kE4M3Fnuz{4, 3, 8, Specials::fnuz};
inline constexpr NumberFormat kE4M3B11Fnuz{4, 3, 11, Specials::fnuz};
inline constexpr NumberFormat kE5M2{5, 2, 15, Specials::ieee};
inline constexpr NumberFormat kE5M2Fnuz{5, 2, 16, Specials::fnuz};
inline constexpr NumberFormat kE3M4{3, 4, 3, Specials::ieee};
inline constexpr NumberFormat kE2M3Fn{2, 3, 1, Specials::none};
inline constexpr NumberFormat kE3M2Fn{3, 2, 3, Specials::none};
inline constexpr NumberFormat kE2M1Fn{2, 1, 1, Specials::none};

// intN, 2 <= bits <= 8.
constexpr NumberFormat fixed_point(int bits) { return {0, bits - 1, 0, Specials::none}; }

// "" where the kernels take the format, else one line that says what it lacks. They take what fits
// a byte, has a normal number and lies where fp32 counts its steps: smallest normal at least 2^-98,
// smallest step at least 2^-126, numbers below 2^100.
HALFTONE_API std::string format_problem(const NumberFormat& format);

// The largest finite number.
HALFTONE_API float largest_value(const NumberFormat& format);

// The number that a code means; bits above the format's are ignored. NaN is quiet, has no payload
// and the code's sign (fnuz: negative), as in ml_dtypes.
HALFTONE_API float decoded_value(const NumberFormat& format, std::uint8_t code);

// E8M0 (OCP MX v1.0, 5.4.1): 2^(code - 127), NaN for 255; for scales alone.
HALFTONE_API float decoded_e8m0(std::uint8_t code);

}  // namespace halftone::kernels
