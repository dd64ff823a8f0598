#include "halftone/precision/rounding.h"

#include <ATen/ATen.h>

namespace halftone {
namespace {

// fp64 to fp32, rounded to odd: towards zero, the last bit set where anything was lost. Rounding
// that to a format of at least two bits less is rounding once (Boldo and Melquiond 2008).
at::Tensor rounded_to_odd(const at::Tensor& exact) {
  const at::Tensor nearest = exact.to(at::kFloat);
  const at::Tensor back = nearest.to(at::kDouble);
  const at::Tensor truncated =
      at::where(back.abs() > exact.abs(), at::nextafter(nearest, at::zeros_like(nearest)), nearest);
  return truncated.view(at::kInt).bitwise_or(back.ne(exact).to(at::kInt)).view(at::kFloat);
}

}  // namespace

at::Tensor rounded_to(const at::Tensor& tensor, Format format) {
  const at::NoGradGuard no_grad;
  if (tensor.scalar_type() == at::kDouble && is_half(format)) {
    return rounded_to_odd(tensor).to(scalar_type(format));
  }
  return tensor.to(scalar_type(format));
}

}  // namespace halftone
