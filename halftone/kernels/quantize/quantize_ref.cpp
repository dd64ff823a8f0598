#include <array>
#include <bit>
#include <cmath>

#include "halftone/base/parallel.h"
#include "halftone/kernels/optimizer/rounding.h"
#include "halftone/kernels/quantize/grid.h"
#include "halftone/kernels/quantize/quantize.h"

namespace halftone::kernels::ref {
namespace {

#include "halftone/kernels/vector/vec_ref.inl.h"

#include "halftone/kernels/vector/bits_ref.inl.h"

inline Bits draws(std::uint64_t key, std::uint32_t element) { return draw(key, element); }

#include "halftone/kernels/quantize/quantize.inl.h"

std::array<float, 256> decoded_values(const NumberFormat& format) {
  std::array<float, 256> values;
  for (int code = 0; code < 256; ++code) {
    values[code] = decoded_value(format, static_cast<std::uint8_t>(code));
  }
  return values;
}

}  // namespace

void quantize_dequantize(const QuantizeArgs& args) { round_all<false>(args); }
void quantize(const QuantizeArgs& args) { round_all<true>(args); }
void quantize_dequantize_blocks(const BlockQuantizeArgs& args) { round_all_blocks<false>(args); }
void quantize_blocks(const BlockQuantizeArgs& args) { round_all_blocks<true>(args); }

void dequantize(const DequantizeArgs& args) {
  const auto values = decoded_values(args.format);
  parallel_for(0, args.length, kQuantizeGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t scale =
          args.scale_count == 1 ? 0 : i / args.scale_inner % args.scale_count;
      args.output[i] = values[args.codes[i]] * args.scales[scale];
    }
  });
}

void dequantize_blocks(const BlockDequantizeArgs& args) {
  const auto values = decoded_values(args.format);
  parallel_for(0, args.rows, 1 + kQuantizeGrain / (args.columns + 1),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t row = begin; row < end; ++row) {
                   const std::uint8_t* scales = args.scales + row * scale_blocks(args.columns);
                   for (std::int64_t k = 0; k < args.columns; ++k) {
                     const float scale = decoded_e8m0(scales[k / kScaleBlock]);
                     const std::int64_t i = row * args.columns + k;
                     args.output[i] = std::isnan(scale) ? scale : values[args.codes[i]] * scale;
                   }
                 }
               });
}

}  // namespace halftone::kernels::ref
