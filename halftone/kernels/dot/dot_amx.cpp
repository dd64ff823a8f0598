#include <cstring>

#include "halftone/base/target.h"
#include "halftone/kernels/dot/dot.h"

#if HALFTONE_X86
#include <immintrin.h>

namespace halftone::kernels::amx {
namespace {

// One product of a 1x32 row with a 32x1 column: 32 elements a step (Intel SDM, TDPBF16PS: the
// column lies as 16 rows of one pair, which is the contiguous vector read with a stride of 4
// bytes).
constexpr std::int64_t kStep = 32;

struct alignas(64) TileConfig {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t colsb[16] = {};
  std::uint8_t rows[16] = {};
};
static_assert(sizeof(TileConfig) == 64);

// asm with a full-struct operand: gcc 12's intrinsic declares 8 bytes read and drops the stores.
void load_config(const TileConfig& config) { __asm__ volatile("ldtilecfg %0" : : "m"(config)); }

HALFTONE_TARGET_AMX void step(HalfFormat format, const std::uint16_t* a, const std::uint16_t* b) {
  _tile_loadd(1, a, 64);
  _tile_loadd(2, b, 4);
  if (format == HalfFormat::bf16) {
    _tile_dpbf16ps(0, 1, 2);
  } else {
    __asm__ volatile(".byte 0xc4,0xe2,0x6b,0x5c,0xc1");  // tdpfp16ps tmm0, tmm1, tmm2
  }
}

}  // namespace

const char* dot_refuses(const DotArgs& args) {
  return args.format == HalfFormat::fp16 && !cpu_features().amx_fp16 ? "the unit has no fp16 tiles"
                                                                     : nullptr;
}

HALFTONE_TARGET_AMX void dot(const DotArgs& args) {
  TileConfig config;
  config.rows[0] = 1, config.colsb[0] = 4;   // 1x1 fp32
  config.rows[1] = 1, config.colsb[1] = 64;  // 1x32 half
  config.rows[2] = 16, config.colsb[2] = 4;  // 16 pairs
  load_config(config);
  _tile_zero(0);
  std::int64_t i = 0;
  for (; i + kStep <= args.length; i += kStep) step(args.format, args.a + i, args.b + i);
  if (i < args.length) {
    std::uint16_t a[kStep] = {}, b[kStep] = {};
    std::memcpy(a, args.a + i, static_cast<std::size_t>(args.length - i) * sizeof *a);
    std::memcpy(b, args.b + i, static_cast<std::size_t>(args.length - i) * sizeof *b);
    step(args.format, a, b);
  }
  _tile_stored(0, args.result, 4);
  _tile_release();
}

}  // namespace halftone::kernels::amx
#endif
