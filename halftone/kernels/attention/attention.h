// Scaled-dot-product attention of half tensors and its backward pass, in blocks: no matrix of
// rows x keys is ever in memory.
//   S = scale * Q K^T + mask, P = softmax(S) along the keys, O = P V
// Dao, FlashAttention-2 (arXiv:2307.08691): algorithm 1 forward, algorithm 2 backward.
#pragma once

#include <cstdint>

#include "halftone/base/export.h"
#include "halftone/base/half.h"
#include "halftone/kernels/ladder.h"

namespace halftone::kernels {

// batch, heads, kv_heads, rows, keys, width >= 0; kv_heads divides heads, and query head h attends
// with head h / (heads / kv_heads) of key and value (Ainslie, GQA, arXiv:2305.13245).
struct AttentionShape {
  std::int64_t batch = 0, heads = 0, kv_heads = 0;
  std::int64_t rows = 0, keys = 0;  // of the query; of key and value
  std::int64_t width = 0;           // of a head, the same for query, key and value
};

// Element (b, h, i, e) of a tensor lies at data[b * batch + h * head + i * row + e]. Inputs may
// have any strides, zero too; outputs don't overlap with anything. Any alignment.
template <class T>
struct AttentionTensor {
  T* data = nullptr;
  std::int64_t batch = 0, head = 0, row = 0;

  T* at(std::int64_t b, std::int64_t h, std::int64_t i) const {
    return data + b * batch + h * head + i * row;
  }
};
using AttentionInput = AttentionTensor<const std::uint16_t>;
using AttentionOutput = AttentionTensor<std::uint16_t>;

// Added to S: numbers, -infinity too (fp32, or `half`: the tensors' format); or a byte each, where
// 0 means that the key takes no part. Strides in elements, of batch, query head, row and key.
enum class AttentionMaskKind : std::uint8_t { none, fp32, half, boolean };
struct AttentionMask {
  AttentionMaskKind kind = AttentionMaskKind::none;
  const void* data = nullptr;
  std::int64_t batch = 0, head = 0, row = 0, key = 0;
};

// What forward and backward share. causal: row i attends to keys 0 ... i; a mask may come on top.
struct AttentionProblem {
  HalfFormat format = HalfFormat::bf16;
  AttentionShape shape;
  bool causal = false;
  float scale = 1;
  AttentionInput query, key, value;  // [batch][heads][rows][width], [batch][kv_heads][keys][width]
  AttentionMask mask;
};

// output: [batch][heads][rows][width]. log_sum: ln sum e^S of each row, fp32; its `row` is the
// stride from row to row, so [batch][heads][rows][1].
struct AttentionArgs : AttentionProblem {
  AttentionOutput output;
  AttentionTensor<float> log_sum;
};

// output and log_sum: of the forward pass, this one's or LibTorch's.
struct AttentionBackwardArgs : AttentionProblem {
  AttentionInput grad_output, output;
  AttentionTensor<const float> log_sum;
  AttentionOutput grad_query, grad_key, grad_value;
};

// Wider heads are the reference rung's alone.
constexpr std::int64_t kWidestHead = 256;

// A row without a key that takes part (all masked, or no keys) gives zeros and log_sum 0, and adds
// nothing to any gradient. NaN or +infinity among a row's scores makes that row of the output NaN;
// scores of -infinity are left out, so that only rows that attend to a key see its NaN. A *value*
// that isn't finite also reaches rows of its block whose weight for it is 0 (0 * infinity), as in
// LibTorch's kernel.
//
// P is rounded to the half format before it is multiplied with V, and so are P and
// dS = P (dP - D), D = sum dO * O, before the three products of the backward pass; all sums are
// fp32 (rung ref: nothing is rounded, fp64). With u the format's unit roundoff, per element:
//   output: 2 u max |V| (P's rounding and the output's own), and what the product's header says of
//   S, times max |V|; gradients: the products' roundings, u each, of sums that cancel.
// The order of all sums follows from shape and rung alone: the same inputs give the same bits for
// any thread count and from run to run.
HALFTONE_API void attention(const AttentionArgs& args);
HALFTONE_API void attention_backward(const AttentionBackwardArgs& args);

HALFTONE_API const LadderBase& attention_ladder();
HALFTONE_API const LadderBase& attention_backward_ladder();

namespace ref {
void attention(const AttentionArgs& args);
void attention_backward(const AttentionBackwardArgs& args);
}  // namespace ref
namespace avx2 {
const char* attention_refuses(const AttentionProblem& problem);
void attention(const AttentionArgs& args);
void attention_backward(const AttentionBackwardArgs& args);
}  // namespace avx2
namespace avx512 {
const char* attention_refuses(const AttentionProblem& problem);
void attention(const AttentionArgs& args);
void attention_backward(const AttentionBackwardArgs& args);
const char* pair_attention_refuses(const AttentionProblem& problem);
void pair_attention(const AttentionArgs& args);  // VDPBF16PS
void pair_attention_backward(const AttentionBackwardArgs& args);
}  // namespace avx512
namespace avx512_fp16 {
const char* attention_refuses(const AttentionProblem& problem);
void attention(const AttentionArgs& args);
void attention_backward(const AttentionBackwardArgs& args);
}  // namespace avx512_fp16
namespace amx {
const char* attention_refuses(const AttentionProblem& problem);
void attention(const AttentionArgs& args);
void attention_backward(const AttentionBackwardArgs& args);
}  // namespace amx

}  // namespace halftone::kernels
