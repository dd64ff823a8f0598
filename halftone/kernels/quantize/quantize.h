// Rounds tensors to formats of at most eight bits: to codes and back, and both at once ("fake
// quantisation": the numbers that the format would have held, in the input's own format).
#pragma once

#include <cstdint>

#include "halftone/base/export.h"
#include "halftone/kernels/element.h"
#include "halftone/kernels/ladder.h"
#include "halftone/kernels/quantize/number_format.h"

namespace halftone::kernels {

// stochastic: up in magnitude with a probability that equals the fraction of a step dropped. It is
// exact for numbers of at least the format's smallest normal; below, to 2^-22 of a step.
enum class Rounding : std::uint8_t { nearest_even, stochastic };

// What becomes of numbers that round to more than the largest finite one, infinity among them.
//   saturate  the largest finite number of that sign
//   special   infinity where the format has it, else NaN, else the largest finite number
// NaN stays NaN in a format that has it; in one without it becomes a zero: of the opposite sign in
// a minifloat (as ml_dtypes does it), of no sign in fixed point.
enum class Overflow : std::uint8_t { saturate, special };

// q(x) = round(x * (1 / s)), the product and 1 / s in fp32, and back x' = q(x) * s: s is what a
// unit of the format stands for. Element i has s = scales[i / scale_inner % scale_count]: one scale
// for all is scale_count 1; one for each of C channels of a dense (A, C, B) tensor is scale_count
// C, scale_inner B. scales are positive and finite, 1 / s too, neither subnormal.
//
// input: `length` elements, 0 <= length < 2^32, dense, any alignment. output: of
// quantize_dequantize() as many elements of the same format (rounded to half where that is half; it
// may be the input); of quantize() as many codes, a byte each.
// Stochastic rounding of element i draws from draw(key, i) (optimizer/rounding.h).
// All rungs give the same bits, for any thread count, NaN included.
struct QuantizeArgs {
  NumberFormat format;
  Rounding rounding;
  Overflow overflow;
  Element element;
  std::int64_t length;
  const float* scales;
  std::int64_t scale_count;
  std::int64_t scale_inner;
  std::uint64_t key;  // not read for nearest_even
  const void* input;
  void* output;
};

struct DequantizeArgs {
  NumberFormat format;
  std::int64_t length;
  const float* scales;
  std::int64_t scale_count;
  std::int64_t scale_inner;
  const std::uint8_t* codes;
  float* output;
};

// OCP Microscaling Formats v1.0, 5.1 and 6.3: each row is cut into blocks of kScaleBlock elements
// (the last may be shorter), a block has the scale 2^(floor(log2(max |x|)) - emax), emax the
// exponent of the format's largest number, at least 2^-127. Elements beyond the largest number
// saturate. What the standard leaves open: a block with an element that is not finite has the scale
// NaN (so that it is NaN as a whole) and codes of 0; a block of zeros has the scale 2^-127.
// emax is not negative, so that no scale is beyond E8M0's.
//
// input: rows x columns, dense, rows * columns < 2^32. output as above. scales: of
// quantize_blocks() rows x blocks of E8M0 codes; not read by quantize_dequantize_blocks().
struct BlockQuantizeArgs {
  NumberFormat format;
  Rounding rounding;
  Element element;
  std::int64_t rows;
  std::int64_t columns;
  std::uint64_t key;
  const void* input;
  void* output;
  std::uint8_t* scales;
};

struct BlockDequantizeArgs {
  NumberFormat format;
  std::int64_t rows;
  std::int64_t columns;
  const std::uint8_t* codes;
  const std::uint8_t* scales;
  float* output;
};

constexpr std::int64_t kScaleBlock = 32;

// Blocks of a row.
constexpr std::int64_t scale_blocks(std::int64_t columns) {
  return (columns + kScaleBlock - 1) / kScaleBlock;
}

HALFTONE_API void quantize_dequantize(const QuantizeArgs& args);
HALFTONE_API void quantize(const QuantizeArgs& args);
HALFTONE_API void quantize_dequantize_blocks(const BlockQuantizeArgs& args);
HALFTONE_API void quantize_blocks(const BlockQuantizeArgs& args);

// A look-up in a table of 256 numbers: it needs no other rung.
HALFTONE_API void dequantize(const DequantizeArgs& args);
HALFTONE_API void dequantize_blocks(const BlockDequantizeArgs& args);

HALFTONE_API const LadderBase& quantize_dequantize_ladder();
HALFTONE_API const LadderBase& quantize_ladder();
HALFTONE_API const LadderBase& quantize_dequantize_blocks_ladder();
HALFTONE_API const LadderBase& quantize_blocks_ladder();

namespace ref {
void quantize_dequantize(const QuantizeArgs& args);
void quantize(const QuantizeArgs& args);
void quantize_dequantize_blocks(const BlockQuantizeArgs& args);
void quantize_blocks(const BlockQuantizeArgs& args);
void dequantize(const DequantizeArgs& args);
void dequantize_blocks(const BlockDequantizeArgs& args);
}  // namespace ref
namespace avx2 {
void quantize_dequantize(const QuantizeArgs& args);
void quantize(const QuantizeArgs& args);
void quantize_dequantize_blocks(const BlockQuantizeArgs& args);
void quantize_blocks(const BlockQuantizeArgs& args);
}  // namespace avx2
namespace avx512 {
void quantize_dequantize(const QuantizeArgs& args);
void quantize(const QuantizeArgs& args);
void quantize_dequantize_blocks(const BlockQuantizeArgs& args);
void quantize_blocks(const BlockQuantizeArgs& args);
}  // namespace avx512

}  // namespace halftone::kernels
