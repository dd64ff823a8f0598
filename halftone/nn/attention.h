// Attention between the linear layers before and after it: over projections as they come, several
// of them in one tensor too, with one gradient for each.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "halftone/base/export.h"

namespace halftone::nn {

// heads divides the width. causal: row i attends to keys 0 ... i. bias: added to the scores, of
// fp32 or the projections' format, 2-d or 4-d, each size 1 or that of (N, heads, rows, keys);
// undefined: none; not beside causal.
struct AttentionOptions {
  std::int64_t heads = 1;
  bool causal = false;
  at::Tensor bias = {};
};

// softmax(Q K^T / sqrt(C / heads) + bias) V, all heads side by side: (N, rows, C). Rows without a
// key that takes part are zero. The projections lie as heads of C / heads elements:
//   qkv (N, rows, 3 C): query, key and value one after the other
//   q (N, rows, C), kv (N, keys, 2 C)
//   q (N, rows, C), k and v (N, keys, C)
// Dense half CPU tensors take the kernel of kernels/attention, also under Autocast (without a
// policy's rule for "scaled_dot_product_attention"): kept for backward are the projections, the
// result, which the linear layer behind keeps anyway, and a log-sum-exp in fp32 for each row and
// head; the bias; backward writes each gradient whole, in the projection's order. The rest, and a
// bias that needs a gradient, takes at::scaled_dot_product_attention, whose errors speak. Results
// are the same bits; also twice differentiable in half. Thread-safe.
HALFTONE_API at::Tensor attention(const at::Tensor& qkv, const AttentionOptions& options);
HALFTONE_API at::Tensor attention(const at::Tensor& q, const at::Tensor& kv,
                                  const AttentionOptions& options);
HALFTONE_API at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                  const AttentionOptions& options);

}  // namespace halftone::nn
