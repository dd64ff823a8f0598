#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/native_group_norm_backward_cpu_dispatch.h>
#include <ATen/ops/native_group_norm_cpu_dispatch.h>

#include <array>
#include <tuple>

#include "halftone/kernels/group_norm/group_norm.h"
#include "halftone/ops/overrides/norm_tensors.h"
#include "halftone/ops/overrides/override.h"
#include "halftone/ops/overrides/own_or_stock.h"

namespace halftone::ops {
namespace {

using GroupNormTensors = std::tuple<at::Tensor, at::Tensor, at::Tensor>;

// LibTorch's own kernel takes only tensors that are dense in their suggested memory format.
bool group_norm_takes(const at::Tensor& x, std::int64_t batch, std::int64_t channels,
                      std::int64_t plane, std::int64_t groups) {
  return is_half(x) && x.dim() >= 2 && x.size(0) == batch && x.size(1) == channels &&
         batch * channels * plane == x.numel() && groups > 0 && channels % groups == 0 &&
         x.is_contiguous(x.suggest_memory_format());
}

kernels::BatchNormShape group_norm_shape(const at::Tensor& x, std::int64_t plane) {
  const auto format = x.suggest_memory_format();
  return {format == at::MemoryFormat::ChannelsLast || format == at::MemoryFormat::ChannelsLast3d,
          x.size(0), x.size(1), plane};
}

GroupNormTensors native_group_norm(const at::Tensor& input, const OptionalTensor& weight,
                                   const OptionalTensor& bias, c10::SymInt n, c10::SymInt c,
                                   c10::SymInt hxw, std::int64_t groups, double eps) {
  const std::int64_t batch = n.expect_int(), channels = c.expect_int(), plane = hxw.expect_int();
  at::ScalarType parameters = kNoType;
  if (group_norm_takes(input, batch, channels, plane, groups)) {
    parameters = parameter_type(input.scalar_type(), channels, {&weight, &bias});
  }
  const auto stock = [&]() -> GroupNormTensors {
    return at::cpu::native_group_norm(input, weight, bias, batch, channels, plane, groups, eps);
  };
  if (parameters == kNoType) return stock();
  const at::Tensor y = at::empty_like(input, input.suggest_memory_format());
  const at::Tensor mean = at::empty({batch, groups}, input.options().dtype(parameters));
  const at::Tensor invstd = at::empty({batch, groups}, mean.options());
  const kernels::BatchNormShape shape = group_norm_shape(input, plane);
  const kernels::Element element = element_of_type(parameters);
  const auto own = [&]() -> GroupNormTensors {
    void* workspace = norm_workspace(kernels::group_norm_workspace(shape));
    kernels::group_norm_forward({half_format(input), shape, groups, half_data(input),
                                 mutable_half_data(y), element, data_or_null(weight),
                                 data_or_null(bias), eps, element, mean.mutable_data_ptr(),
                                 invstd.mutable_data_ptr(), workspace});
    return {y, mean, invstd};
  };
  return own_or_stock("group_norm", own, stock);
}

GroupNormTensors native_group_norm_backward(const at::Tensor& grad_out, const at::Tensor& input,
                                            const at::Tensor& mean, const at::Tensor& invstd,
                                            const OptionalTensor& weight, c10::SymInt n,
                                            c10::SymInt c, c10::SymInt hxw, std::int64_t groups,
                                            std::array<bool, 3> wanted) {
  const std::int64_t batch = n.expect_int(), channels = c.expect_int(), plane = hxw.expect_int();
  at::ScalarType parameters = kNoType;
  if (group_norm_takes(input, batch, channels, plane, groups) && is_half(grad_out) &&
      grad_out.scalar_type() == input.scalar_type() && grad_out.sizes() == input.sizes() &&
      mean.defined() && invstd.defined()) {
    const OptionalTensor means(mean), invstds(invstd);
    parameters = parameter_type(input.scalar_type(), channels, {&weight});
    const auto statistics = parameter_type(input.scalar_type(), batch * groups, {&means, &invstds});
    // Without a weight the bias, which isn't seen here, may have told the type.
    if (parameters != kNoType && !is_defined(weight)) parameters = statistics;
    if (parameters != statistics) parameters = kNoType;
  }
  const auto stock = [&]() -> GroupNormTensors {
    return at::cpu::native_group_norm_backward(grad_out, input, mean, invstd, weight, batch,
                                               channels, plane, groups, wanted);
  };
  if (parameters == kNoType) return stock();
  const at::Tensor dy = grad_out.contiguous(input.suggest_memory_format());
  const auto options = input.options().dtype(parameters);
  at::Tensor dx, dweight, dbias;
  if (wanted[0]) dx = at::empty_like(input, input.suggest_memory_format());
  if (wanted[1]) dweight = at::empty({channels}, options);
  if (wanted[2]) dbias = at::empty({channels}, options);
  const kernels::BatchNormShape shape = group_norm_shape(input, plane);
  const kernels::Element element = element_of_type(parameters);
  const auto own = [&]() -> GroupNormTensors {
    void* workspace = norm_workspace(kernels::group_norm_workspace(shape));
    kernels::group_norm_backward(
        {half_format(input), shape, groups, half_data(dy), half_data(input), half_data_or_null(dx),
         element, data_or_null(weight), mutable_data_or_null(dweight), mutable_data_or_null(dbias),
         element, mean.const_data_ptr(), invstd.const_data_ptr(), workspace});
    return {dx, dweight, dbias};
  };
  return own_or_stock("group_norm", own, stock);
}

void install_group_norm(torch::Library& library) {
  library.impl("native_group_norm", native_group_norm);
  library.impl("native_group_norm_backward", native_group_norm_backward);
}

const OverrideRegistration kGroupNormOverride{{"group_norm", install_group_norm}};

}  // namespace
}  // namespace halftone::ops
