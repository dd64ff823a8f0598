// AVX512_FP16's arithmetic for Fp16Unit. Included behind units_fp16.inl.h.

// One asm block: gcc 12 spills the 28 accumulators of the same loop in intrinsics. Row i's sums are
// zmm(2i) and zmm(2i + 1); A comes as a broadcast from memory.
struct Fp16Registers {
#define HALFTONE_ROWS(each)                                                             \
  each(0, 0, 1) each(1, 2, 3) each(2, 4, 5) each(3, 6, 7) each(4, 8, 9) each(5, 10, 11) \
      each(6, 12, 13) each(7, 14, 15) each(8, 16, 17) each(9, 18, 19) each(10, 20, 21)  \
          each(11, 22, 23) each(12, 24, 25) each(13, 26, 27)
#define HALFTONE_ZERO(i, low, high)                 \
  "vpxord %%zmm" #low ", %%zmm" #low ", %%zmm" #low \
  "\n\t"                                            \
  "vpxord %%zmm" #high ", %%zmm" #high ", %%zmm" #high "\n\t"
#define HALFTONE_FMA(i, low, high)                                 \
  "vfmadd231ph " #i "*%c[row](%[a])%{1to32%}, %%zmm28, %%zmm" #low \
  "\n\t"                                                           \
  "vfmadd231ph " #i "*%c[row](%[a])%{1to32%}, %%zmm29, %%zmm" #high "\n\t"
#define HALFTONE_STORE(i, low, high) \
  "vmovdqa64 %%zmm" #low ", " #i     \
  "*128(%[tile])\n\t"                \
  "vmovdqa64 %%zmm" #high ", " #i "*128+64(%[tile])\n\t"

  static void block(const std::uint16_t* a, const std::uint16_t* b, std::int64_t groups,
                    std::uint16_t* tile) {
    __asm__ volatile(
        HALFTONE_ROWS(HALFTONE_ZERO)
        ".p2align 4\n"
        "1:\n\t"
        "vmovdqa64 (%[b]), %%zmm28\n\t"
        "vmovdqa64 64(%[b]), %%zmm29\n\t"
        HALFTONE_ROWS(HALFTONE_FMA)
        "add $2, %[a]\n\t"
        "add $128, %[b]\n\t"
        "dec %[groups]\n\t"
        "jnz 1b\n\t"
        HALFTONE_ROWS(HALFTONE_STORE)
        : [a] "+r"(a), [b] "+r"(b), [groups] "+r"(groups)
        : [tile] "r"(tile), [row] "i"(kFp16RowStride * 2)
        : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
          "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18",
          "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28",
          "xmm29");
  }
#undef HALFTONE_ROWS
#undef HALFTONE_ZERO
#undef HALFTONE_FMA
#undef HALFTONE_STORE
};
