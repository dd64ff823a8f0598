#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/native_layer_norm_backward_cpu_dispatch.h>
#include <ATen/ops/native_layer_norm_cpu_dispatch.h>

#include <array>
#include <tuple>

#include "halftone/kernels/layer_norm/layer_norm.h"
#include "halftone/ops/overrides/norm_tensors.h"
#include "halftone/ops/overrides/override.h"
#include "halftone/ops/overrides/own_or_stock.h"

namespace halftone::ops {
namespace {

using LayerNormTensors = std::tuple<at::Tensor, at::Tensor, at::Tensor>;

// The product of the normalised dimensions where they are the input's last ones, else nothing.
std::optional<std::int64_t> normalised_length(const at::Tensor& input, at::IntArrayRef shape) {
  const auto sizes = input.sizes();
  if (shape.empty() || shape.size() > sizes.size() ||
      sizes.slice(sizes.size() - shape.size()) != shape) {
    return std::nullopt;
  }
  return c10::multiply_integers(shape);
}

// Each given one has the normalised shape.
bool layer_norm_shaped(at::IntArrayRef shape, const OptionalTensor& weight,
                       const OptionalTensor& bias) {
  return (!is_defined(weight) || weight->sizes() == shape) &&
         (!is_defined(bias) || bias->sizes() == shape);
}

LayerNormTensors native_layer_norm(const at::Tensor& input, c10::SymIntArrayRef normalized_shape,
                                   const OptionalTensor& weight, const OptionalTensor& bias,
                                   double eps) {
  const auto shape = C10_AS_INTARRAYREF_SLOW(normalized_shape);
  const auto length = is_half(input) ? normalised_length(input, shape) : std::nullopt;
  const auto parameters = length && layer_norm_shaped(shape, weight, bias)
                              ? parameter_type(input.scalar_type(), *length, {&weight, &bias})
                              : kNoType;
  if (parameters == kNoType) return at::cpu::native_layer_norm(input, shape, weight, bias, eps);

  const at::Tensor x = input.contiguous();
  auto statistics_shape = input.sizes().vec();
  for (std::size_t i = statistics_shape.size() - shape.size(); i < statistics_shape.size(); ++i) {
    statistics_shape[i] = 1;
  }
  const at::Tensor y = at::empty(input.sizes(), input.options());
  const at::Tensor mean = at::empty(statistics_shape, input.options().dtype(parameters));
  const at::Tensor invstd = at::empty(statistics_shape, mean.options());
  const kernels::Element element = element_of_type(parameters);
  kernels::layer_norm_forward({half_format(x), x.numel() / *length, *length, half_data(x),
                               mutable_half_data(y), element, data_or_null(weight),
                               data_or_null(bias), eps, element, mean.mutable_data_ptr(),
                               invstd.mutable_data_ptr()});
  return {y, mean, invstd};
}

LayerNormTensors native_layer_norm_backward(const at::Tensor& grad_out, const at::Tensor& input,
                                            c10::SymIntArrayRef normalized_shape,
                                            const at::Tensor& mean, const at::Tensor& invstd,
                                            const OptionalTensor& weight,
                                            const OptionalTensor& bias,
                                            std::array<bool, 3> wanted) {
  const auto shape = C10_AS_INTARRAYREF_SLOW(normalized_shape);
  const auto length = is_half(input) ? normalised_length(input, shape) : std::nullopt;
  at::ScalarType parameters = kNoType;
  if (length && layer_norm_shaped(shape, weight, bias) && is_half(grad_out) &&
      grad_out.scalar_type() == input.scalar_type() && grad_out.sizes() == input.sizes() &&
      (is_defined(weight) || !wanted[1]) && (is_defined(bias) || !wanted[2])) {
    const OptionalTensor means(mean), invstds(invstd);
    parameters = parameter_type(input.scalar_type(), *length, {&weight, &bias});
    const auto statistics =
        parameter_type(input.scalar_type(), input.numel() / *length, {&means, &invstds});
    if (statistics != parameters || !mean.defined() || !invstd.defined()) parameters = kNoType;
  }
  const auto stock = [&]() -> LayerNormTensors {
    return at::cpu::native_layer_norm_backward(grad_out, input, shape, mean, invstd, weight, bias,
                                               wanted);
  };
  if (parameters == kNoType) return stock();
  const at::Tensor x = input.contiguous(), dy = grad_out.contiguous();
  at::Tensor dx, dweight, dbias;
  if (wanted[0]) dx = at::empty(input.sizes(), input.options());
  if (wanted[1]) dweight = at::empty(shape, weight->options());
  if (wanted[2]) dbias = at::empty(shape, bias->options());
  const std::int64_t rows = x.numel() / *length;
  const kernels::Element element = element_of_type(parameters);
  const auto own = [&]() -> LayerNormTensors {
    void* workspace = norm_workspace(kernels::layer_norm_workspace(rows, *length));
    kernels::layer_norm_backward(
        {half_format(x), rows, *length, half_data(dy), half_data(x), half_data_or_null(dx), element,
         data_or_null(weight), mutable_data_or_null(dweight), mutable_data_or_null(dbias), element,
         mean.const_data_ptr(), invstd.const_data_ptr(), workspace});
    return {dx, dweight, dbias};
  };
  return own_or_stock("layer_norm", own, stock);
}

void install_layer_norm(torch::Library& library) {
  library.impl("native_layer_norm", native_layer_norm);
  library.impl("native_layer_norm_backward", native_layer_norm_backward);
}

const OverrideRegistration kLayerNormOverride{{"layer_norm", install_layer_norm}};

}  // namespace
}  // namespace halftone::ops
