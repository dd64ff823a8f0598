#include "halftone/ops/attention_ops.h"

#include <cmath>

#include "halftone/kernels/attention/attention.h"
#include "halftone/ops/overrides/half_tensor.h"

namespace halftone::ops {
namespace {

using at::Tensor;
using OptionalMask = std::optional<Tensor>;

bool given(const OptionalMask& mask) { return mask && mask->defined(); }

// One that LibTorch takes: fp32 or the query's format, 2-d or 4-d, each size 1 or the scores'.
bool mask_fits(const OptionalMask& mask, const Tensor& query, const Tensor& key) {
  if (!given(mask)) return true;
  if (mask->scalar_type() != at::kFloat && mask->scalar_type() != query.scalar_type()) return false;
  if (mask->dim() != 2 && mask->dim() != 4) return false;
  const std::int64_t sizes[] = {query.size(0), query.size(1), query.size(2), key.size(2)};
  for (std::int64_t d = 1; d <= mask->dim(); ++d) {
    if (mask->size(-d) != 1 && mask->size(-d) != sizes[4 - d]) return false;
  }
  return true;
}

// Elements of a head side by side, as LibTorch's kernel assumes them to be.
Tensor dense_heads(const Tensor& tensor) {
  return tensor.stride(3) == 1 || tensor.size(3) == 1 ? tensor : tensor.contiguous();
}

template <class T>
kernels::AttentionTensor<T> strided(T* data, const Tensor& tensor) {
  return {data, tensor.stride(0), tensor.stride(1), tensor.stride(2)};
}
kernels::AttentionInput input_of(const Tensor& tensor) {
  return strided(half_data(tensor), tensor);
}
kernels::AttentionOutput output_of(const Tensor& tensor) {
  return strided(mutable_half_data(tensor), tensor);
}

kernels::AttentionMask mask_of(const OptionalMask& mask) {
  if (!given(mask)) return {};
  const auto stride = [&](std::int64_t d) {
    return d <= mask->dim() && mask->size(-d) != 1 ? mask->stride(-d) : 0;
  };
  return {mask->scalar_type() == at::kFloat ? kernels::AttentionMaskKind::fp32
                                            : kernels::AttentionMaskKind::half,
          mask->const_data_ptr(),
          stride(4),
          stride(3),
          stride(2),
          stride(1)};
}

// The tensors behind a problem: as they are, or copies.
struct DenseCall {
  explicit DenseCall(const AttentionCall& call)
      : query(dense_heads(call.query)), key(dense_heads(call.key)), value(dense_heads(call.value)) {
    const double scale = call.scale.value_or(1 / std::sqrt(static_cast<double>(query.size(3))));
    problem = {
        half_format(query),
        {query.size(0), query.size(1), key.size(1), query.size(2), key.size(2), query.size(3)},
        call.causal,
        static_cast<float>(scale),
        input_of(query),
        input_of(key),
        input_of(value),
        mask_of(call.mask)};
  }
  Tensor query, key, value;
  kernels::AttentionProblem problem;
};

}  // namespace

bool attention_takes(const AttentionCall& call) {
  const Tensor &query = call.query, &key = call.key, &value = call.value;
  if (!is_half(query) || !is_half(key) || !is_half(value)) return false;
  if (key.scalar_type() != query.scalar_type() || value.scalar_type() != query.scalar_type()) {
    return false;
  }
  return query.dim() == 4 && key.dim() == 4 && key.sizes() == value.sizes() &&
         key.size(0) == query.size(0) && query.size(1) % key.size(1) == 0 &&
         key.size(3) == query.size(3) && query.size(3) <= kernels::kWidestHead &&
         mask_fits(call.mask, query, key);
}

void run_attention(const AttentionCall& call, const Tensor& output, const Tensor& log_sum) {
  const DenseCall dense(call);
  kernels::attention(
      {dense.problem, output_of(output), strided(log_sum.mutable_data_ptr<float>(), log_sum)});
}

void run_attention_backward(const AttentionCall& call, const AttentionForward& forward,
                            const Tensor& gradient, const AttentionGradients& found) {
  const DenseCall dense(call);
  const Tensor g = dense_heads(gradient), o = dense_heads(forward.output);
  kernels::attention_backward({dense.problem, input_of(g), input_of(o),
                               strided(forward.log_sum.const_data_ptr<float>(), forward.log_sum),
                               output_of(found.query), output_of(found.key),
                               output_of(found.value)});
}

}  // namespace halftone::ops
