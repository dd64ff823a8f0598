#include "halftone/nn/layers.h"

#include <ATen/ops/gelu.h>
#include <ATen/ops/linear.h>

#include "halftone/nn/layer_norm_function.h"
#include "halftone/nn/policy_exception.h"
#include "halftone/nn/recipe.h"

namespace halftone::nn {
namespace {

// The layer of LibTorch's, which then gives up its input where it can.
template <class Layer>
at::Tensor run_leaner(Layer& layer, const at::Tensor& x) {
  const at::Tensor y = layer.forward(x);
  recompute_input(y, x);
  return y;
}

at::Tensor run_linear(const torch::nn::LinearImpl& layer, const at::Tensor& x) {
  const at::Tensor y = at::linear(x, layer.weight, layer.bias);
  recompute_input(y, x);
  return y;
}

bool takes_half_layer_norm(const torch::nn::LayerNormImpl& layer, const at::Tensor& x) {
  const auto type = x.scalar_type();
  if ((type != at::kHalf && type != at::kBFloat16) || !x.device().is_cpu()) return false;
  if (inside_torch_func()) return false;
  for (const at::Tensor& each : {layer.weight, layer.bias}) {
    if (each.defined() && each.scalar_type() != at::kFloat && each.scalar_type() != type) {
      return false;
    }
  }
  return !policy_names("layer_norm",
                       layer.weight.defined() ? std::optional(layer.weight) : std::nullopt);
}

}  // namespace

at::Tensor Conv2dImpl::forward(const at::Tensor& x) {
  return run_leaner(static_cast<torch::nn::Conv2dImpl&>(*this), x);
}

at::Tensor MaxPool2dImpl::forward(const at::Tensor& x) {
  return run_leaner(static_cast<torch::nn::MaxPool2dImpl&>(*this), x);
}

at::Tensor LinearImpl::forward(const at::Tensor& x) { return run_linear(*this, x); }

at::Tensor LinearGeluImpl::forward(const at::Tensor& x) {
  return at::gelu(run_linear(*this, x), approximate);
}

std::shared_ptr<torch::nn::Module> LinearGeluImpl::clone(
    const std::optional<torch::Device>& device) const {
  auto copy = Adopted::clone(device);
  std::dynamic_pointer_cast<LinearGeluImpl>(copy)->approximate = approximate;
  return copy;
}

at::Tensor LayerNormImpl::forward(const at::Tensor& x) {
  if (!takes_half_layer_norm(*this, x)) return torch::nn::LayerNormImpl::forward(x);
  const auto given = [](const at::Tensor& tensor) {
    return tensor.defined() ? std::optional(tensor) : std::nullopt;
  };
  return half_layer_norm(x, options.normalized_shape(), given(weight), given(bias), options.eps());
}

ConvBnReLUImpl::ConvBnReLUImpl(const torch::nn::Conv2dOptions& options)
    : conv(register_module("conv", Conv2d(options))),
      bn(register_module("bn", BatchNormReLU(options.out_channels()))) {}

at::Tensor ConvBnReLUImpl::forward(const at::Tensor& x) { return bn(conv(x)); }

}  // namespace halftone::nn
