// Half tensors to the kernels of attention: for the dispatcher's override and for the block of nn/.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace halftone::ops {

// As at::scaled_dot_product_attention without dropout: query [batch, heads, rows, width], key and
// value [batch, kv heads, keys, width]; mask (added to the scores; none: undefined or nullopt) of
// fp32 or the query's format, 2-d or 4-d, each size 1 or the scores'. scale: nothing for the usual
// 1 / sqrt(width).
struct AttentionCall {
  const at::Tensor &query, &key, &value;
  const std::optional<at::Tensor>& mask;
  bool causal;
  std::optional<double> scale = {};
};

// Whether the kernels take the tensors of a call.
bool attention_takes(const AttentionCall& call);

// For a call that they take. output: of the query's sizes and format; log_sum: fp32, [batch, heads,
// rows]. std::bad_alloc where there is no memory for the workspace.
void run_attention(const AttentionCall& call, const at::Tensor& output, const at::Tensor& log_sum);

struct AttentionForward {
  const at::Tensor &output, &log_sum;  // what it wrote
};

// Where the gradients go: of the sizes and format of query, key and value, elements of a head side
// by side, else in any order.
struct AttentionGradients {
  at::Tensor query, key, value;
};

void run_attention_backward(const AttentionCall& call, const AttentionForward& forward,
                            const at::Tensor& gradient, const AttentionGradients& found);

}  // namespace halftone::ops
