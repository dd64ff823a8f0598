// Rounds the operands of products with a weight, and their gradients, to emulated formats.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <array>
#include <memory>
#include <optional>
#include <string>

#include "halftone/kernels/quantize/number_format.h"
#include "halftone/precision/emulated_layers.h"
#include "halftone/precision/policy.h"

namespace halftone {

// A factor of a product: which argument of the operation, and the dimension that is summed over
// (from the end).
struct Factor {
  std::size_t argument;
  std::int64_t dim;
};

// The two factors of an operation and its output's dimension that the backward pass sums over for
// the input's gradient.
struct Product {
  Factor input, weight;
  std::int64_t output_dim;
};

// Of the operations that are emulated, by the name of operation_name() (cast_table.h).
std::optional<Product> product_of(const std::string& operation);

// The smallest power of two s at which amax / s is no more than the format's largest number; of
// fixed point amax / largest itself. Within fp32's normal numbers; 1 for 0.
float scale_for(const kernels::NumberFormat& format, double amax);

// A policy's emulation, worked out. Never changed once it is made; any thread may use it.
class Emulation {
 public:
  explicit Emulation(const EmulationPolicy& policy);

  // The layer whose weight is one of the factors, or null where there is none or it is exempt.
  std::shared_ptr<EmulatedLayer> layer(const Product& product,
                                       c10::ArrayRef<c10::IValue> arguments) const;

  // Rounds both factors, in place of which the rounded ones stand then. Called below autocast's
  // key.
  void round_factors(const Product& product, EmulatedLayer& layer, c10::IValue* arguments) const;

  // Rounds the gradient that will flow into an operation by its output.
  void round_gradient_of(const Product& product, std::shared_ptr<EmulatedLayer> layer,
                         const at::Tensor& output) const;

 private:
  at::Tensor rounded(const at::Tensor& x, Role role, std::int64_t dim, EmulatedLayer& layer) const;

  EmulationPolicy policy_;
  std::array<std::optional<kernels::NumberFormat>, kRoles> formats_;
};

}  // namespace halftone
