#include "halftone/numerics/tensor_range.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <optional>

#include "halftone/kernels/range/range.h"
#include "halftone/precision/format.h"

namespace halftone::numerics {
namespace {

std::optional<kernels::Element> element_of(c10::ScalarType type) {
  if (type == at::kFloat) return kernels::Element::fp32;
  if (type == at::kHalf) return kernels::Element::fp16;
  if (type == at::kBFloat16) return kernels::Element::bf16;
  return std::nullopt;
}

void set_from_kernel(const at::Tensor& tensor, kernels::Element element, TensorRange& range) {
  const at::Tensor dense =
      tensor.is_non_overlapping_and_dense() ? tensor : tensor.contiguous();  // any order will do
  kernels::ValueRange found{};
  kernels::range({element, dense.const_data_ptr(), dense.numel(), &found});
  range.low = found.low;
  range.high = found.high;
  range.zeros = found.zeros;
  range.nans = found.nans;
  range.positive_infinities = found.positive_infinities;
  range.negative_infinities = found.negative_infinities;
}

void set_from_operations(const at::Tensor& tensor, TensorRange& range) {
  if (tensor.numel() == 0) return;
  const at::Tensor values = tensor.to(at::kDouble), finite = at::isfinite(values);
  const auto count = [](const at::Tensor& mask) { return mask.sum().item<std::int64_t>(); };
  range.low = at::where(finite, values, range.low).min().item<double>();
  range.high = at::where(finite, values, range.high).max().item<double>();
  range.zeros = count(values == 0);
  range.nans = count(at::isnan(values));
  range.positive_infinities = count(at::isposinf(values));
  range.negative_infinities = count(at::isneginf(values));
}

}  // namespace

std::string type_name(c10::ScalarType type) {
  for (Format format : {Format::fp64, Format::fp32, Format::fp16, Format::bf16}) {
    if (scalar_type(format) == type) return format_name(format);
  }
  if (type == at::kLong) return "int64";
  if (type == at::kInt) return "int32";
  std::string name = c10::toString(type);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  return name;
}

std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

double TensorRange::amax() const {
  return low > high ? 0 : std::max(std::fabs(low), std::fabs(high));
}

std::string TensorRange::text() const {
  std::string text = format + " (";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    text += (i ? ", " : "") + std::to_string(shape[i]);
  }
  text += ")";
  if (!floating || count == 0) return text;
  text += low > high ? "  no finite value" : "  " + short_number(low) + " to " + short_number(high);
  if (zeros) text += ", " + std::to_string(zeros) + " of " + std::to_string(count) + " zero";
  if (nans) text += ", " + std::to_string(nans) + " NaN";
  if (positive_infinities) text += ", " + std::to_string(positive_infinities) + " +inf";
  if (negative_infinities) text += ", " + std::to_string(negative_infinities) + " -inf";
  if (!finite()) text += " (of " + std::to_string(count) + ")";
  return text;
}

TensorRange measure_range(const at::Tensor& tensor) {
  TensorRange range;
  if (!tensor.defined()) return range;
  range.format = type_name(tensor.scalar_type());
  range.shape = tensor.sizes().vec();
  range.count = tensor.numel();
  const bool complex = tensor.is_complex();
  range.floating = tensor.layout() == at::kStrided && (complex || tensor.is_floating_point());
  if (!range.floating) return range;
  const at::Tensor values = complex ? at::view_as_real(at::resolve_conj(tensor)) : tensor.detach();
  const auto element = element_of(values.scalar_type());
  if (values.is_cpu() && element) {
    set_from_kernel(values, *element, range);
  } else {
    set_from_operations(values, range);
  }
  return range;
}

}  // namespace halftone::numerics
