#include "halftone/kernels/attention/attention.h"

#include "halftone/base/target.h"

namespace halftone::kernels {
namespace {

#if HALFTONE_X86
// What a refusal looks at is shared by both passes.
template <const char* (*refuses)(const AttentionProblem&)>
struct Refusal {
  template <class Args>
  static const char* of(const Args& args) {
    return refuses(args);
  }
};
using Amx = Refusal<amx::attention_refuses>;
using Fp16 = Refusal<avx512_fp16::attention_refuses>;
using Pairs = Refusal<avx512::pair_attention_refuses>;
using Avx512 = Refusal<avx512::attention_refuses>;
using Avx2 = Refusal<avx2::attention_refuses>;

const Ladder<AttentionArgs, 6> kAttention("attention",
                                          {{{Isa::amx, Amx::of, amx::attention},
                                            {Isa::avx512_fp16, Fp16::of, avx512_fp16::attention},
                                            {Isa::avx512, Pairs::of, avx512::pair_attention},
                                            {Isa::avx512, Avx512::of, avx512::attention},
                                            {Isa::avx2, Avx2::of, avx2::attention},
                                            {Isa::ref, nullptr, ref::attention}}});
const Ladder<AttentionBackwardArgs, 6> kAttentionBackward(
    "attention_backward", {{{Isa::amx, Amx::of, amx::attention_backward},
                            {Isa::avx512_fp16, Fp16::of, avx512_fp16::attention_backward},
                            {Isa::avx512, Pairs::of, avx512::pair_attention_backward},
                            {Isa::avx512, Avx512::of, avx512::attention_backward},
                            {Isa::avx2, Avx2::of, avx2::attention_backward},
                            {Isa::ref, nullptr, ref::attention_backward}}});
#else
const Ladder<AttentionArgs, 1> kAttention("attention", {{{Isa::ref, nullptr, ref::attention}}});
const Ladder<AttentionBackwardArgs, 1> kAttentionBackward(
    "attention_backward", {{{Isa::ref, nullptr, ref::attention_backward}}});
#endif

}  // namespace

void attention(const AttentionArgs& args) { kAttention(args); }
void attention_backward(const AttentionBackwardArgs& args) { kAttentionBackward(args); }

const LadderBase& attention_ladder() { return kAttention; }
const LadderBase& attention_backward_ladder() { return kAttentionBackward; }

}  // namespace halftone::kernels
