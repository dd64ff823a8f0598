#include "halftone/ops/quantize_ops.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

#include "halftone/base/error.h"
#include "halftone/base/text.h"

namespace halftone::ops {
namespace {

kernels::Element quantized_element(const at::Tensor& x) {
  if (x.device().is_cpu() && x.layout() == at::kStrided) {
    switch (x.scalar_type()) {
      case at::kFloat:
        return kernels::Element::fp32;
      case at::kHalf:
        return kernels::Element::fp16;
      case at::kBFloat16:
        return kernels::Element::bf16;
      default:
        break;
    }
  }
  throw Error(
      std::string("a tensor of ") + c10::toString(x.scalar_type()) + " on " + x.device().str(),
      "a dense one of fp32, fp16 or bf16 on the CPU", "quantize");
}

void check_scale(float scale) {
  if (std::isnormal(scale) && scale > 0 && std::isnormal(1 / scale)) return;
  throw Error("scale " + format_number(scale),
              "a positive number that has, like its inverse, fp32's full precision", "quantize");
}

// The kernels' view of scales: how many, and how many elements in a row share one.
struct ScaleView {
  at::Tensor values;
  std::int64_t inner = 1;

  const float* data() const { return values.const_data_ptr<float>(); }
  std::int64_t count() const { return values.numel(); }
};

ScaleView view_of(const at::Tensor& scales, const at::Tensor& x, std::int64_t dim) {
  if (scales.scalar_type() != at::kFloat || !scales.device().is_cpu()) {
    throw Error(std::string("scales of ") + c10::toString(scales.scalar_type()), "fp32 on the CPU",
                "quantize");
  }
  ScaleView view{scales.contiguous()};
  if (scales.numel() != 1) {
    dim = at::maybe_wrap_dim(dim, x.dim());
    if (scales.dim() != 1 || scales.numel() != x.size(dim)) {
      throw Error(
          std::to_string(scales.numel()) + " scales",
          "1, or the " + std::to_string(x.size(dim)) + " of dimension " + std::to_string(dim),
          "quantize");
    }
    for (std::int64_t d = dim + 1; d < x.dim(); ++d) view.inner *= x.size(d);
    if (view.inner == 0) view.inner = 1;  // of an empty tensor
  }
  for (std::int64_t i = 0; i < view.count(); ++i) check_scale(view.data()[i]);
  return view;
}

void check_length(const at::Tensor& x) {
  if (x.numel() <= std::numeric_limits<std::uint32_t>::max()) return;
  throw Error("a tensor of " + std::to_string(x.numel()) + " elements", "less than 2^32",
              "quantize");
}

kernels::QuantizeArgs args_of(const Quantizer& quantizer, const at::Tensor& x,
                              const ScaleView& scales, void* output) {
  check_length(x);
  return {quantizer.format,
          quantizer.rounding,
          quantizer.overflow,
          quantized_element(x),
          x.numel(),
          scales.data(),
          scales.count(),
          scales.inner,
          quantizer.key,
          x.const_data_ptr(),
          output};
}

}  // namespace

at::Tensor quantize_dequantize(const at::Tensor& x, const Quantizer& quantizer,
                               const at::Tensor& scales, std::int64_t dim) {
  const at::NoGradGuard no_grad;
  quantized_element(x);
  const ScaleView view = view_of(scales, x, dim);
  const bool as_it_lies = view.count() == 1 && x.is_non_overlapping_and_dense();
  const at::Tensor input = as_it_lies ? x.detach() : x.detach().contiguous();
  at::Tensor output = at::empty_like(input);
  kernels::quantize_dequantize(args_of(quantizer, input, view, output.mutable_data_ptr()));
  return output;
}

at::Tensor quantize_dequantize(const at::Tensor& x, const Quantizer& quantizer, float scale) {
  return quantize_dequantize(x, quantizer, at::full({1}, scale, at::kFloat));
}

at::Tensor quantize_dequantize_blocks(const at::Tensor& x, const Quantizer& quantizer,
                                      std::int64_t dim) {
  const at::NoGradGuard no_grad;
  const kernels::Element element = quantized_element(x);
  check_length(x);
  if (x.numel() == 0) return at::empty_like(x);
  dim = at::maybe_wrap_dim(dim, x.dim());
  const at::Tensor rows = x.detach().movedim(dim, -1).contiguous();
  at::Tensor output = at::empty_like(rows);
  const std::int64_t columns = rows.size(-1);
  kernels::quantize_dequantize_blocks({quantizer.format, quantizer.rounding, element,
                                       rows.numel() / columns, columns, quantizer.key,
                                       rows.const_data_ptr(), output.mutable_data_ptr(), nullptr});
  return output.movedim(-1, dim).contiguous(x.suggest_memory_format());
}

at::Tensor quantize(const at::Tensor& x, const Quantizer& quantizer, const at::Tensor& scales,
                    std::int64_t dim) {
  const at::NoGradGuard no_grad;
  quantized_element(x);
  const ScaleView view = view_of(scales, x, dim);
  const at::Tensor input = x.detach().contiguous();
  at::Tensor codes = at::empty(x.sizes(), at::kByte);
  kernels::quantize(args_of(quantizer, input, view, codes.mutable_data_ptr()));
  return codes;
}

at::Tensor dequantize(const at::Tensor& codes, const kernels::NumberFormat& format,
                      const at::Tensor& scales, std::int64_t dim) {
  const at::NoGradGuard no_grad;
  if (codes.scalar_type() != at::kByte || !codes.device().is_cpu()) {
    throw Error(std::string("codes of ") + c10::toString(codes.scalar_type()), "uint8 on the CPU",
                "dequantize");
  }
  const ScaleView view = view_of(scales, codes, dim);
  const at::Tensor input = codes.contiguous();
  at::Tensor output = at::empty(codes.sizes(), at::kFloat);
  kernels::dequantize({format, input.numel(), view.data(), view.count(), view.inner,
                       input.const_data_ptr<std::uint8_t>(), output.mutable_data_ptr<float>()});
  return output;
}

double largest_magnitude(const at::Tensor& x) {
  const at::NoGradGuard no_grad;
  if (x.numel() == 0) return 0;
  return at::linalg_vector_norm(x.detach(), std::numeric_limits<double>::infinity()).item<double>();
}

}  // namespace halftone::ops
