#include "halftone/kernels/layer_norm/layer_norm.h"

#include "halftone/base/target.h"

namespace halftone::kernels {
namespace {

#if HALFTONE_X86
const Ladder<LayerNormForwardArgs, 3> kLayerNormForward(
    "layer_norm_forward", {{{Isa::avx512, nullptr, avx512::layer_norm_forward},
                            {Isa::avx2, nullptr, avx2::layer_norm_forward},
                            {Isa::ref, nullptr, ref::layer_norm_forward}}});
const Ladder<LayerNormBackwardArgs, 3> kLayerNormBackward(
    "layer_norm_backward", {{{Isa::avx512, nullptr, avx512::layer_norm_backward},
                             {Isa::avx2, nullptr, avx2::layer_norm_backward},
                             {Isa::ref, nullptr, ref::layer_norm_backward}}});
#else
const Ladder<LayerNormForwardArgs, 1> kLayerNormForward(
    "layer_norm_forward", {{{Isa::ref, nullptr, ref::layer_norm_forward}}});
const Ladder<LayerNormBackwardArgs, 1> kLayerNormBackward(
    "layer_norm_backward", {{{Isa::ref, nullptr, ref::layer_norm_backward}}});
#endif

}  // namespace

void layer_norm_forward(const LayerNormForwardArgs& args) { kLayerNormForward(args); }
const LadderBase& layer_norm_forward_ladder() { return kLayerNormForward; }

void layer_norm_backward(const LayerNormBackwardArgs& args) { kLayerNormBackward(args); }
const LadderBase& layer_norm_backward_ladder() { return kLayerNormBackward; }

}  // namespace halftone::kernels
