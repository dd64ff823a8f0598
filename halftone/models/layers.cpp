#include "halftone/models/layers.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/autocast_mode.h>
#include <ATen/ops/adaptive_avg_pool2d.h>
#include <ATen/ops/max_pool2d.h>

#include <cmath>

#include "halftone/nn/recipe.h"
#include "halftone/optim/init.h"

namespace halftone::models {

namespace {

// What a block gave is computed again for backward (nn/recipe.h).
at::Tensor max_pool(const at::Tensor& x, std::int64_t kernel, std::int64_t padding,
                    bool ceil_mode) {
  const at::Tensor y = at::max_pool2d(x, kernel, 2, padding, 1, ceil_mode);
  nn::recompute_input(y, x);
  return y;
}

}  // namespace

torch::nn::Conv2dOptions conv_options(std::int64_t in, std::int64_t out, std::int64_t kernel,
                                      std::int64_t stride) {
  return torch::nn::Conv2dOptions(in, out, kernel).stride(stride).padding(kernel / 2).bias(false);
}

at::Tensor stem_pool(const at::Tensor& x) { return max_pool(x, 3, 1, /*ceil_mode=*/false); }

at::Tensor pool_by_two(const at::Tensor& x, bool round_up) { return max_pool(x, 2, 0, round_up); }

void initialise_layers(torch::nn::Module& module, std::uint64_t seed, Format format) {
  const init::Options how{format, at::make_generator<at::CPUGeneratorImpl>(seed)};
  for (auto& child : module.modules(/*include_self=*/false)) {
    if (auto* layer = child->as<torch::nn::Conv2dImpl>()) {
      init::kaiming_normal_(layer->weight, init::Fan::out, init::leaky_relu_gain(), how);
      if (layer->bias.defined()) layer->bias.detach().zero_();
    } else if (auto* layer = child->as<torch::nn::LinearImpl>()) {
      init::kaiming_uniform_(layer->weight, init::Fan::in, init::leaky_relu_gain(kLibTorchSlope),
                             how);
      const double bound = 1 / std::sqrt(static_cast<double>(layer->weight.size(1)));
      if (layer->bias.defined()) init::uniform_(layer->bias, bound, how);
    }
  }
  for (auto& parameter : module.parameters()) {
    if (parameter.dim() != 4) continue;
    parameter.set_data(parameter.detach().contiguous(at::MemoryFormat::ChannelsLast));
  }
}

at::Tensor network_input(const at::Tensor& x, const at::Tensor& weight) {
  const at::Tensor input = x.contiguous(at::MemoryFormat::ChannelsLast);
  if (at::autocast::is_autocast_enabled(x.device().type())) return input;
  return input.to(weight.scalar_type());
}

at::Tensor global_mean(const at::Tensor& x) {
  return at::adaptive_avg_pool2d(x, {1, 1}).flatten(1);
}

}  // namespace halftone::models
