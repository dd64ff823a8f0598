#include "halftone/precision/quantize.h"

#include <algorithm>
#include <utility>

#include "halftone/base/error.h"
#include "halftone/base/text.h"
#include "halftone/kernels/optimizer/rounding.h"
#include "halftone/ops/quantize_ops.h"
#include "halftone/precision/number_formats.h"

namespace halftone {
namespace {

using Named = std::pair<std::string, kernels::NumberFormat>;

const std::vector<Named>& named_formats() {
  static const std::vector<Named> kFormats{
      {"e4m3fn", kernels::kE4M3Fn},      {"e4m3", kernels::kE4M3},
      {"e4m3fnuz", kernels::kE4M3Fnuz},  {"e4m3b11fnuz", kernels::kE4M3B11Fnuz},
      {"e5m2", kernels::kE5M2},          {"e5m2fnuz", kernels::kE5M2Fnuz},
      {"e3m4", kernels::kE3M4},          {"e2m3fn", kernels::kE2M3Fn},
      {"e3m2fn", kernels::kE3M2Fn},      {"e2m1fn", kernels::kE2M1Fn},
      {"int8", kernels::fixed_point(8)}, {"int7", kernels::fixed_point(7)},
      {"int6", kernels::fixed_point(6)}, {"int5", kernels::fixed_point(5)},
      {"int4", kernels::fixed_point(4)}, {"int3", kernels::fixed_point(3)},
      {"int2", kernels::fixed_point(2)}};
  return kFormats;
}

const Named* find_named_format(const std::string& name) {
  const auto& all = named_formats();
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Named& each) { return each.first == name; });
  return found == all.end() ? nullptr : &*found;
}

ops::Quantizer quantizer_of(const Quantization& quantization) {
  return {number_format(quantization.format),
          quantization.stochastic ? kernels::Rounding::stochastic : kernels::Rounding::nearest_even,
          quantization.saturate ? kernels::Overflow::saturate : kernels::Overflow::special,
          kernels::mix64(quantization.seed)};
}

}  // namespace

const std::vector<std::string>& number_format_names() {
  static const std::vector<std::string> kNames = [] {
    std::vector<std::string> names;
    for (const Named& each : named_formats()) names.push_back(each.first);
    return names;
  }();
  return kNames;
}

bool is_number_format(const std::string& name) { return find_named_format(name) != nullptr; }

const kernels::NumberFormat& number_format(const std::string& name) {
  if (const Named* found = find_named_format(name)) return found->second;
  throw UsageError("unknown number format " + quote(name), choices(name, number_format_names()));
}

double largest_number(const std::string& format) {
  return kernels::largest_value(number_format(format));
}

at::Tensor quantize_dequantize(const at::Tensor& x, const Quantization& quantization,
                               const at::Tensor& scales, std::int64_t dim) {
  return ops::quantize_dequantize(x, quantizer_of(quantization), scales, dim);
}

at::Tensor quantize_dequantize_blocks(const at::Tensor& x, const Quantization& quantization,
                                      std::int64_t dim) {
  return ops::quantize_dequantize_blocks(x, quantizer_of(quantization), dim);
}

at::Tensor quantize(const at::Tensor& x, const Quantization& quantization, const at::Tensor& scales,
                    std::int64_t dim) {
  return ops::quantize(x, quantizer_of(quantization), scales, dim);
}

at::Tensor dequantize(const at::Tensor& codes, const std::string& format, const at::Tensor& scales,
                      std::int64_t dim) {
  return ops::dequantize(codes, number_format(format), scales, dim);
}

}  // namespace halftone
