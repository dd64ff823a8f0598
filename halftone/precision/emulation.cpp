#include "halftone/precision/emulation.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include "halftone/ops/generator.h"
#include "halftone/ops/quantize_ops.h"
#include "halftone/precision/number_formats.h"

namespace halftone {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// A rounding that its gradient doesn't see (Bengio, Leonard, Courville, arXiv:1308.3432).
struct StraightThrough : torch::autograd::Function<StraightThrough> {
  static at::Tensor forward(AutogradContext*, const at::Tensor& x,
                            const std::function<at::Tensor(const at::Tensor&)>& round) {
    return round(x);
  }
  static variable_list backward(AutogradContext*, const variable_list& gradients) {
    return {gradients[0], at::Tensor()};
  }
};

// Of a tensor with too few dimensions (a vector): the first.
std::int64_t dimension_of(const at::Tensor& x, std::int64_t dim) { return std::max(dim, -x.dim()); }

}  // namespace

std::optional<Product> product_of(const std::string& operation) {
  if (operation == "linear") return Product{{0, -1}, {1, -1}, -1};
  if (operation == "mm" || operation == "matmul") return Product{{0, -1}, {1, -2}, -1};
  if (operation == "addmm" || operation == "_addmm_activation") {
    return Product{{1, -1}, {2, -2}, -1};
  }
  // The channels: behind them come the one, two or three dimensions of the image.
  const auto convolution = [&](const std::string& name, bool transposed) -> std::optional<Product> {
    for (std::int64_t n = 1; n <= 3; ++n) {
      if (operation != name + std::to_string(n) + "d") continue;
      return Product{{0, -1 - n}, {1, transposed ? -2 - n : -1 - n}, -1 - n};
    }
    return std::nullopt;
  };
  if (const auto found = convolution("conv", false)) return found;
  return convolution("conv_transpose", true);
}

float scale_for(const kernels::NumberFormat& format, double amax) {
  if (amax == 0) return 1;
  constexpr double kSmallest = 0x1p-126, kLargest = 0x1p126;
  const double ratio = amax / static_cast<double>(kernels::largest_value(format));
  if (format.is_fixed_point()) return static_cast<float>(std::clamp(ratio, kSmallest, kLargest));
  int exponent = 0;
  const double fraction = std::frexp(ratio, &exponent);  // from 0.5 to 1
  const double power = std::ldexp(1.0, fraction == 0.5 ? exponent - 1 : exponent);
  return static_cast<float>(std::clamp(power, kSmallest, kLargest));
}

Emulation::Emulation(const EmulationPolicy& policy) : policy_(policy) {
  const std::array<const std::string*, kRoles> names{&policy.weights, &policy.activations,
                                                     &policy.gradients};
  for (std::size_t role = 0; role < kRoles; ++role) {
    if (*names[role] != "none") formats_[role] = number_format(*names[role]);
  }
}

std::shared_ptr<EmulatedLayer> Emulation::layer(const Product& product,
                                                c10::ArrayRef<c10::IValue> arguments) const {
  const c10::IValue& weight = arguments[product.weight.argument];
  if (!weight.isTensor() || !weight.toTensor().defined()) return nullptr;
  auto layer = layer_of(weight.toTensor());
  return layer && policy_.exempt_ends && layer->is_end() ? nullptr : layer;
}

at::Tensor Emulation::rounded(const at::Tensor& x, Role role, std::int64_t dim,
                              EmulatedLayer& layer) const {
  const auto& format = formats_[static_cast<std::size_t>(role)];
  if (!format || !x.is_floating_point() || x.scalar_type() == at::kDouble) return x;
  const double amax = ops::largest_magnitude(x);
  if (!std::isfinite(amax)) return x;  // the fault stays where it can be seen
  ops::Quantizer quantizer{*format};
  if (role == Role::gradient && policy_.stochastic_gradients) {
    quantizer.rounding = kernels::Rounding::stochastic;
    quantizer.key = next_draw_key();
  }
  double scaled_by = amax;
  if (policy_.scaling == EmulationScaling::delayed) {
    const bool remember = role == Role::gradient || c10::GradMode::is_enabled();
    scaled_by = layer.delayed_amax(role, amax, policy_.history, remember);
  }
  const auto round = [&](const at::Tensor& given) {
    if (policy_.scaling == EmulationScaling::block) {
      return ops::quantize_dequantize_blocks(given, quantizer, dimension_of(given, dim));
    }
    return ops::quantize_dequantize(given, quantizer, scale_for(*format, scaled_by));
  };
  return StraightThrough::apply(x, std::function<at::Tensor(const at::Tensor&)>(round));
}

void Emulation::round_factors(const Product& product, EmulatedLayer& layer,
                              c10::IValue* arguments) const {
  for (const auto& [factor, role] :
       {std::pair{product.input, Role::activation}, std::pair{product.weight, Role::weight}}) {
    c10::IValue& argument = arguments[factor.argument];
    argument = rounded(argument.toTensor(), role, factor.dim, layer);
  }
}

// By a hook, which keeps its place where the output is written to in place later.
void Emulation::round_gradient_of(const Product& product, std::shared_ptr<EmulatedLayer> layer,
                                  const at::Tensor& output) const {
  if (!formats_[static_cast<std::size_t>(Role::gradient)] || !output.requires_grad()) return;
  output.register_hook([emulation = *this, layer = std::move(layer),
                        dim = product.output_dim](const at::Tensor& gradient) {
    return emulation.rounded(gradient, Role::gradient, dim, *layer);
  });
}

}  // namespace halftone
