#include "halftone/precision/layer_scales.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

#include "halftone/ops/quantize_ops.h"
#include "halftone/precision/tensor_map.h"

namespace halftone {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int kLargestExponent = 126;  // its reciprocal is a normal fp32 number

// The scale that both ends of a call share, as autograd keeps it.
struct SharedScale : torch::CustomClassHolder {
  explicit SharedScale(std::shared_ptr<float> given) : value(std::move(given)) {}
  std::shared_ptr<float> value;
};

// Of scaled gradients while they live. Never destroyed: a thread may still look up while the
// process ends.
TensorMap<float>& scales() {
  static auto* instance = new TensorMap<float>;
  return *instance;
}

void save(AutogradContext* context, const at::Tensor& input, std::shared_ptr<float> scale) {
  context->saved_data["format"] = static_cast<std::int64_t>(input.scalar_type());
  context->saved_data["scale"] =
      c10::IValue::make_capsule(c10::make_intrusive<SharedScale>(std::move(scale)));
}

c10::ScalarType saved_format(AutogradContext* context) {
  return static_cast<c10::ScalarType>(context->saved_data["format"].toInt());
}

float& saved_scale(AutogradContext* context) {
  const auto holder = context->saved_data["scale"].toCapsule();
  return *static_cast<const SharedScale&>(*holder).value;
}

// Divides the gradient by the scale, in fp32.
struct EnterScaled : torch::autograd::Function<EnterScaled> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& operand,
                            c10::ScalarType format, std::shared_ptr<float> scale) {
    save(context, operand, std::move(scale));
    return operand.to(format);
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    if (!gradients[0].defined()) return {at::Tensor(), at::Tensor(), at::Tensor()};
    const at::Tensor wide = gradients[0].to(at::kFloat).mul(1 / saved_scale(context));
    return {wide.to(saved_format(context)), at::Tensor(), at::Tensor()};
  }
};

// Chooses the scale from the gradient and multiplies by it.
struct LeaveScaled : torch::autograd::Function<LeaveScaled> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& result,
                            std::shared_ptr<float> scale) {
    save(context, result, std::move(scale));
    return result.to(at::kFloat);
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    if (!gradients[0].defined()) return {at::Tensor(), at::Tensor()};
    const float scale = middle_scale(ops::largest_magnitude(gradients[0]));
    saved_scale(context) = scale;
    const at::Tensor scaled = gradients[0].mul(scale).to(saved_format(context));
    scales().set(scaled, scale);
    return {scaled, at::Tensor()};
  }
};

}  // namespace

double layer_scale_of(const at::Tensor& gradient) {
  const float scale = scales().find(gradient);
  return scale == 0 ? 1 : scale;
}

float middle_scale(double amax) {
  if (!(amax > 0) || !std::isfinite(amax)) return 1;
  int exponent = 0;
  std::frexp(amax, &exponent);  // amax = f * 2^exponent, f from 0.5 to 1
  return std::ldexp(1.0f, std::clamp(1 - exponent, -kLargestExponent, kLargestExponent));
}

LayerScale::LayerScale(c10::ScalarType format)
    : format_(format), scale_(std::make_shared<float>(1.0f)) {}

at::Tensor LayerScale::enter(const at::Tensor& operand) const {
  if (!at::GradMode::is_enabled() || !operand.requires_grad()) return operand.to(format_);
  return EnterScaled::apply(operand, format_, scale_);
}

at::Tensor LayerScale::leave(const at::Tensor& result) const {
  if (!at::GradMode::is_enabled() || !result.requires_grad()) return result.to(at::kFloat);
  return LeaveScaled::apply(result, scale_);
}

}  // namespace halftone
