// A number format as the constants that the rungs round with.
#pragma once

#include <cstdint>

#include "halftone/kernels/quantize/number_format.h"
#include "halftone/kernels/quantize/quantize.h"

namespace halftone::kernels {

// Codes and numbers without their sign.
int magnitude_bits(const NumberFormat& format);
std::uint32_t largest_code(const NumberFormat& format);
float magnitude_value(const NumberFormat& format, std::uint32_t code);

// Of the smallest normal number: below it the step no longer shrinks. Fixed point, all of whose
// steps are one, is a format with one binade of normal numbers at the top.
int smallest_exponent(const NumberFormat& format);
int largest_exponent(const NumberFormat& format);

// A number in the binade 2^e is a whole number of steps 2^(e - mantissa_bits). Exponents are
// shifted to fp32's field (23 bits up).
struct Grid {
  float limit;  // the power of two above `largest`; greater numbers are cut here
  float largest;
  float overflow;          // what replaces numbers above `largest`
  float nan;               // what replaces NaN
  std::uint32_t lowest;    // the field of the smallest exponent
  std::uint32_t mantissa;  // mantissa_bits, shifted: the field of a step is exponent - mantissa
  std::uint32_t large;     // the field of 2^23 steps is exponent + large
  std::uint32_t inverse;   // the field of (1 / step) 2^fraction_bits is inverse - exponent
  int fraction_bits;       // of a count of steps; stochastic rounding's alone
  bool signed_zero;        // zeros and NaN have a sign
  bool saturates;          // overflow is `largest`

  std::uint32_t overflow_code, nan_code;
  int code_shift;                // 23 - mantissa_bits
  std::uint32_t sign_bit;        // of a minifloat's code
  std::uint32_t complement;      // all ones for two's complement, else 0
  std::uint32_t block_exponent;  // the field of `largest`, as a difference from 127
};

Grid make_grid(const NumberFormat& format, Overflow overflow);

}  // namespace halftone::kernels
