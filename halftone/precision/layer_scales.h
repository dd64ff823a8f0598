// A loss scale of its own for each lowered operation (DynamicPolicy::layer_scales).
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

namespace halftone {

// The power of two by which a gradient of that largest magnitude comes to the middle of fp16's
// normal numbers: 2^k with amax * 2^k from 1 to 2, halfway between 2^-14 and 2^16 by exponent. It
// leaves 15 bits for products to grow and 25 for small elements. 1 for 0 and for what is not
// finite.
float middle_scale(double amax);

// What a gradient that flows into an operation's result was multiplied by; 1 for any other tensor.
// Of the tensor itself, not of a copy. Thread-safe.
double layer_scale_of(const at::Tensor& gradient);

// One call of an operation in `format`. In the backward pass the gradient of its result comes in as
// fp32, is multiplied by middle_scale() of itself and rounded to `format`; what the operation makes
// of it is taken to the format of its operands, fp32 for weights, and divided by the same power of
// two: exact but for what leaves fp32. The scale follows from the gradient alone, so that there is
// no state, and nothing to save; it costs one more read of the gradient.
class LayerScale {
 public:
  explicit LayerScale(c10::ScalarType format);

  // An operand, cast.
  at::Tensor enter(const at::Tensor& operand) const;
  // The operation's result, cast to fp32.
  at::Tensor leave(const at::Tensor& result) const;

 private:
  c10::ScalarType format_;
  std::shared_ptr<float> scale_;  // of the gradient that came in last
};

}  // namespace halftone
