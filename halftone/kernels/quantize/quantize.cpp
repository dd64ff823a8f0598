#include "halftone/kernels/quantize/quantize.h"

#include "halftone/base/target.h"

namespace halftone::kernels {
namespace {

#if HALFTONE_X86
#define HALFTONE_QUANTIZE_RUNGS(operation)                                                \
  {                                                                                       \
    {                                                                                     \
      {Isa::avx512, nullptr, avx512::operation}, {Isa::avx2, nullptr, avx2::operation}, { \
        Isa::ref, nullptr, ref::operation                                                 \
      }                                                                                   \
    }                                                                                     \
  }
constexpr std::size_t kRungs = 3;
#else
#define HALFTONE_QUANTIZE_RUNGS(operation)  \
  {                                         \
    {                                       \
      { Isa::ref, nullptr, ref::operation } \
    }                                       \
  }
constexpr std::size_t kRungs = 1;
#endif

const Ladder<QuantizeArgs, kRungs> kQuantizeDequantize(
    "quantize_dequantize", HALFTONE_QUANTIZE_RUNGS(quantize_dequantize));
const Ladder<QuantizeArgs, kRungs> kQuantize("quantize", HALFTONE_QUANTIZE_RUNGS(quantize));
const Ladder<BlockQuantizeArgs, kRungs> kQuantizeDequantizeBlocks(
    "quantize_dequantize_blocks", HALFTONE_QUANTIZE_RUNGS(quantize_dequantize_blocks));
const Ladder<BlockQuantizeArgs, kRungs> kQuantizeBlocks("quantize_blocks",
                                                        HALFTONE_QUANTIZE_RUNGS(quantize_blocks));
const Ladder<DequantizeArgs, 1> kDequantize("dequantize", {{{Isa::ref, nullptr, ref::dequantize}}});
const Ladder<BlockDequantizeArgs, 1> kDequantizeBlocks(
    "dequantize_blocks", {{{Isa::ref, nullptr, ref::dequantize_blocks}}});

#undef HALFTONE_QUANTIZE_RUNGS

}  // namespace

void quantize_dequantize(const QuantizeArgs& args) { kQuantizeDequantize(args); }
void quantize(const QuantizeArgs& args) { kQuantize(args); }
void quantize_dequantize_blocks(const BlockQuantizeArgs& args) { kQuantizeDequantizeBlocks(args); }
void quantize_blocks(const BlockQuantizeArgs& args) { kQuantizeBlocks(args); }
void dequantize(const DequantizeArgs& args) { kDequantize(args); }
void dequantize_blocks(const BlockDequantizeArgs& args) { kDequantizeBlocks(args); }

const LadderBase& quantize_dequantize_ladder() { return kQuantizeDequantize; }
const LadderBase& quantize_ladder() { return kQuantize; }
const LadderBase& quantize_dequantize_blocks_ladder() { return kQuantizeDequantizeBlocks; }
const LadderBase& quantize_blocks_ladder() { return kQuantizeBlocks; }

}  // namespace halftone::kernels
