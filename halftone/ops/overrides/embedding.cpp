#include "halftone/kernels/embedding/embedding.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/embedding_dense_backward_cpu_dispatch.h>
#include <ATen/ops/empty.h>

#include "halftone/base/workspace.h"
#include "halftone/ops/overrides/half_tensor.h"
#include "halftone/ops/overrides/override.h"
#include "halftone/ops/overrides/own_or_stock.h"

namespace halftone::ops {
namespace {

using at::Tensor;

bool embedding_fits(const Tensor& grad, const Tensor& indices, std::int64_t words) {
  constexpr std::int64_t kLimit = std::numeric_limits<std::int32_t>::max();
  return is_half(grad) && indices.scalar_type() == at::kLong && grad.dim() > 0 && words > 0 &&
         grad.numel() == indices.numel() * grad.size(-1) && words <= kLimit / grad.size(-1);
}

Tensor embedding_dense_backward(const Tensor& grad, const Tensor& indices, std::int64_t words,
                                std::int64_t padding, bool by_frequency) {
  void* scratch = nullptr;
  if (embedding_fits(grad, indices, words)) {
    const auto numbers = static_cast<std::size_t>(indices.numel() + words + 1);
    scratch = workspace(WorkspaceSlot::rows, numbers * sizeof(std::int32_t));
    if (!scratch) say_out_of_workspace("embedding");
  }
  if (!scratch) {
    return at::cpu::embedding_dense_backward(grad, indices, words, padding, by_frequency);
  }
  const Tensor gradient = grad.contiguous(), places = indices.contiguous();
  Tensor table = at::empty({words, grad.size(-1)}, grad.options());
  kernels::embedding_backward({half_format(grad), indices.numel(), words, grad.size(-1), padding,
                               by_frequency, half_data(gradient),
                               places.const_data_ptr<std::int64_t>(), mutable_half_data(table),
                               static_cast<std::int32_t*>(scratch)});
  return table;
}

void install_embedding(torch::Library& library) {
  library.impl("embedding_dense_backward", embedding_dense_backward);
}

const OverrideRegistration kEmbedding{{"embedding", install_embedding}};

}  // namespace
}  // namespace halftone::ops
