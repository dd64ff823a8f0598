#include "halftone/kernels/softmax/softmax.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/_log_softmax_backward_data_cpu_dispatch.h>
#include <ATen/ops/_log_softmax_backward_data_meta.h>
#include <ATen/ops/_log_softmax_cpu_dispatch.h>
#include <ATen/ops/_log_softmax_meta.h>
#include <ATen/ops/_softmax_backward_data_cpu_dispatch.h>
#include <ATen/ops/_softmax_backward_data_meta.h>
#include <ATen/ops/_softmax_cpu_dispatch.h>
#include <ATen/ops/_softmax_meta.h>

#include "halftone/ops/overrides/half_tensor.h"
#include "halftone/ops/overrides/override.h"

namespace halftone::ops {
namespace {

using at::Tensor;

// The kernels take rows: the last dimension.
bool softmax_fits(const Tensor& self, std::int64_t dim) {
  return is_half(self) && self.dim() > 0 && (dim == -1 || dim == self.dim() - 1);
}

template <class Meta>
Tensor softmax_of(const Tensor& self, std::int64_t dim, bool log) {
  Outputs<Meta> outputs;
  outputs.meta(self, dim, false);
  const Tensor input = self.contiguous();
  const std::int64_t columns = self.size(-1);
  kernels::softmax({half_format(self), log, self.numel() / columns, columns, half_data(input),
                    mutable_half_data(outputs[0])});
  return outputs[0];
}

bool softmax_backward_fits(const Tensor& grad, const Tensor& output, std::int64_t dim,
                           at::ScalarType input_type) {
  return softmax_fits(grad, dim) && output.scalar_type() == grad.scalar_type() &&
         input_type == grad.scalar_type() && output.sizes() == grad.sizes();
}

template <class Meta>
Tensor softmax_backward_of(const Tensor& grad, const Tensor& output, std::int64_t dim,
                           at::ScalarType input_type, bool log) {
  Outputs<Meta> outputs;
  outputs.meta(grad, output, dim, input_type);
  const Tensor gradient = grad.contiguous(), result = output.contiguous();
  const std::int64_t columns = grad.size(-1);
  kernels::softmax_backward({half_format(grad), log, grad.numel() / columns, columns,
                             half_data(gradient), half_data(result),
                             mutable_half_data(outputs[0])});
  return outputs[0];
}

Tensor softmax(const Tensor& self, std::int64_t dim, bool half_to_float) {
  if (half_to_float || !softmax_fits(self, dim)) return at::cpu::_softmax(self, dim, half_to_float);
  return softmax_of<at::meta::structured__softmax>(self, dim, false);
}

Tensor log_softmax(const Tensor& self, std::int64_t dim, bool half_to_float) {
  if (half_to_float || !softmax_fits(self, dim)) {
    return at::cpu::_log_softmax(self, dim, half_to_float);
  }
  return softmax_of<at::meta::structured__log_softmax>(self, dim, true);
}

Tensor softmax_backward_data(const Tensor& grad, const Tensor& output, std::int64_t dim,
                             at::ScalarType input_type) {
  if (!softmax_backward_fits(grad, output, dim, input_type)) {
    return at::cpu::_softmax_backward_data(grad, output, dim, input_type);
  }
  return softmax_backward_of<at::meta::structured__softmax_backward_data>(grad, output, dim,
                                                                          input_type, false);
}

Tensor log_softmax_backward_data(const Tensor& grad, const Tensor& output, std::int64_t dim,
                                 at::ScalarType input_type) {
  if (!softmax_backward_fits(grad, output, dim, input_type)) {
    return at::cpu::_log_softmax_backward_data(grad, output, dim, input_type);
  }
  return softmax_backward_of<at::meta::structured__log_softmax_backward_data>(grad, output, dim,
                                                                              input_type, true);
}

void install_softmax(torch::Library& library) {
  library.impl("_softmax", softmax);
  library.impl("_softmax_backward_data", softmax_backward_data);
}

void install_log_softmax(torch::Library& library) {
  library.impl("_log_softmax", log_softmax);
  library.impl("_log_softmax_backward_data", log_softmax_backward_data);
}

const OverrideRegistration kSoftmax{{"softmax", install_softmax}};
const OverrideRegistration kLogSoftmax{{"log_softmax", install_log_softmax}};

}  // namespace
}  // namespace halftone::ops
