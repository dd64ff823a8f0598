#include "halftone/kernels/group_norm/group_norm.h"

#include "halftone/base/target.h"
#include "halftone/kernels/group_norm/driver.h"

namespace halftone::kernels {
namespace {

// The rungs differ in batch normalisation's passes alone.
template <const BatchNormPasses& (*passes)()>
void forward_on(const GroupNormForwardArgs& args) {
  group_norm_forward_by(passes(), args);
}
template <const BatchNormPasses& (*passes)()>
void backward_on(const GroupNormBackwardArgs& args) {
  group_norm_backward_by(passes(), args);
}

#if HALFTONE_X86
const Ladder<GroupNormForwardArgs, 3> kGroupNormForward(
    "group_norm_forward", {{{Isa::avx512, nullptr, forward_on<avx512::batch_norm_passes>},
                            {Isa::avx2, nullptr, forward_on<avx2::batch_norm_passes>},
                            {Isa::ref, nullptr, forward_on<ref::batch_norm_passes>}}});
const Ladder<GroupNormBackwardArgs, 3> kGroupNormBackward(
    "group_norm_backward", {{{Isa::avx512, nullptr, backward_on<avx512::batch_norm_passes>},
                             {Isa::avx2, nullptr, backward_on<avx2::batch_norm_passes>},
                             {Isa::ref, nullptr, backward_on<ref::batch_norm_passes>}}});
#else
const Ladder<GroupNormForwardArgs, 1> kGroupNormForward(
    "group_norm_forward", {{{Isa::ref, nullptr, forward_on<ref::batch_norm_passes>}}});
const Ladder<GroupNormBackwardArgs, 1> kGroupNormBackward(
    "group_norm_backward", {{{Isa::ref, nullptr, backward_on<ref::batch_norm_passes>}}});
#endif

}  // namespace

void group_norm_forward(const GroupNormForwardArgs& args) { kGroupNormForward(args); }
const LadderBase& group_norm_forward_ladder() { return kGroupNormForward; }

void group_norm_backward(const GroupNormBackwardArgs& args) { kGroupNormBackward(args); }
const LadderBase& group_norm_backward_ladder() { return kGroupNormBackward; }

}  // namespace halftone::kernels
