// AMX's tile registers (Intel SDM, volume 1, chapter 18): tmm0 to 3 hold a block's sums by rows,
// tmm4 and 5 A, tmm6 and 7 B. Every tile is 16 rows of 64 bytes.
#pragma once

#include "halftone/base/target.h"

#if HALFTONE_X86
#include <cstdint>

namespace halftone::kernels::amx {

struct alignas(64) TileSetup {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileSetup) == 64);

// asm throughout: gcc 12's intrinsics tell the compiler nothing of the memory they touch.
struct TileRegisters {
#define HALFTONE_TILES __attribute__((always_inline)) static inline

  static void begin() {
    const TileSetup setup;
    __asm__ volatile("ldtilecfg %0" : : "m"(setup));
  }
  static void end() { __asm__ volatile("tilerelease"); }

#define HALFTONE_TILE_LOAD(tile) \
  __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile : : "r"(p), "r"(stride) : "memory")
#define HALFTONE_TILE_STORE(tile) \
  __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)" : : "r"(p), "r"(stride) : "memory")

  // A is read once per panel of B: the hint leaves L1 to B.
  HALFTONE_TILES void load_a(int tile, const void* p, std::int64_t stride) {
    if (tile == 0) {
      __asm__ volatile("tileloaddt1 (%0,%1,1), %%tmm4" : : "r"(p), "r"(stride) : "memory");
    } else {
      __asm__ volatile("tileloaddt1 (%0,%1,1), %%tmm5" : : "r"(p), "r"(stride) : "memory");
    }
  }
  HALFTONE_TILES void load_b(int tile, const void* p, std::int64_t stride) {
    if (tile == 0) {
      HALFTONE_TILE_LOAD(6);
    } else {
      HALFTONE_TILE_LOAD(7);
    }
  }
  HALFTONE_TILES void load_sums(int row, int column, const float* p, std::int64_t stride) {
    switch (2 * row + column) {
      case 0:
        HALFTONE_TILE_LOAD(0);
        break;
      case 1:
        HALFTONE_TILE_LOAD(1);
        break;
      case 2:
        HALFTONE_TILE_LOAD(2);
        break;
      default:
        HALFTONE_TILE_LOAD(3);
    }
  }
  HALFTONE_TILES void store_sums(int row, int column, float* p, std::int64_t stride) {
    switch (2 * row + column) {
      case 0:
        HALFTONE_TILE_STORE(0);
        break;
      case 1:
        HALFTONE_TILE_STORE(1);
        break;
      case 2:
        HALFTONE_TILE_STORE(2);
        break;
      default:
        HALFTONE_TILE_STORE(3);
    }
  }
  HALFTONE_TILES void zero_sums(int row, int column) {
    switch (2 * row + column) {
      case 0:
        __asm__ volatile("tilezero %tmm0");
        break;
      case 1:
        __asm__ volatile("tilezero %tmm1");
        break;
      case 2:
        __asm__ volatile("tilezero %tmm2");
        break;
      default:
        __asm__ volatile("tilezero %tmm3");
    }
  }

#undef HALFTONE_TILE_LOAD
#undef HALFTONE_TILE_STORE
#undef HALFTONE_TILES
};

// sums(row, column) += A(a) * B(b).
struct Bf16Tiles : TileRegisters {
#define HALFTONE_PRODUCT(sums, a, b) \
  __asm__ volatile("tdpbf16ps %tmm" #b ", %tmm" #a ", %tmm" #sums)
  __attribute__((always_inline)) static inline void multiply_into(int row, int column, int a,
                                                                  int b) {
    switch (8 * row + 4 * column + 2 * a + b) {
      case 0:
        HALFTONE_PRODUCT(0, 4, 6);
        break;
      case 1:
        HALFTONE_PRODUCT(0, 4, 7);
        break;
      case 2:
        HALFTONE_PRODUCT(0, 5, 6);
        break;
      case 3:
        HALFTONE_PRODUCT(0, 5, 7);
        break;
      case 4:
        HALFTONE_PRODUCT(1, 4, 6);
        break;
      case 5:
        HALFTONE_PRODUCT(1, 4, 7);
        break;
      case 6:
        HALFTONE_PRODUCT(1, 5, 6);
        break;
      case 7:
        HALFTONE_PRODUCT(1, 5, 7);
        break;
      case 8:
        HALFTONE_PRODUCT(2, 4, 6);
        break;
      case 9:
        HALFTONE_PRODUCT(2, 4, 7);
        break;
      case 10:
        HALFTONE_PRODUCT(2, 5, 6);
        break;
      case 11:
        HALFTONE_PRODUCT(2, 5, 7);
        break;
      case 12:
        HALFTONE_PRODUCT(3, 4, 6);
        break;
      case 13:
        HALFTONE_PRODUCT(3, 4, 7);
        break;
      case 14:
        HALFTONE_PRODUCT(3, 5, 6);
        break;
      default:
        HALFTONE_PRODUCT(3, 5, 7);
    }
  }
#undef HALFTONE_PRODUCT
  __attribute__((always_inline)) static inline void multiply(int row, int column) {
    multiply_into(row, column, row, column);
  }
};

struct Fp16Tiles : TileRegisters {
  // TDPFP16PS, which gcc 12's assembler may not know: VEX.128.F2.0F38.W0 5C /r, the sums in the
  // register field, A in the r/m field, B inverted in vvvv.
  __attribute__((always_inline)) static inline void multiply(int row, int column) {
    switch (2 * row + column) {
      case 0:
        __asm__ volatile(".byte 0xc4,0xe2,0x4b,0x5c,0xc4");
        break;  // tmm0 += tmm4 * tmm6
      case 1:
        __asm__ volatile(".byte 0xc4,0xe2,0x43,0x5c,0xcc");
        break;  // tmm1 += tmm4 * tmm7
      case 2:
        __asm__ volatile(".byte 0xc4,0xe2,0x4b,0x5c,0xd5");
        break;  // tmm2 += tmm5 * tmm6
      default:
        __asm__ volatile(".byte 0xc4,0xe2,0x43,0x5c,0xdd");  // tmm3 += tmm5 * tmm7
    }
  }
};

}  // namespace halftone::kernels::amx
#endif
