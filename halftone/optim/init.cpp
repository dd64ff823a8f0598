#include "halftone/optim/init.h"

#include <torch/utils.h>

#include <cmath>
#include <string>

#include "halftone/base/error.h"

namespace halftone::init {
namespace {

at::Tensor scratch(const at::Tensor& tensor, const Options& options) {
  if (is_half(options.format)) {
    throw Error(format_name(options.format), "fp32 or fp64", "format of an initialiser");
  }
  return at::empty(tensor.sizes(), tensor.options()
                                       .dtype(scalar_type(options.format))
                                       .memory_format(at::MemoryFormat::Contiguous)
                                       .requires_grad(false));
}

double kaiming_deviation(const at::Tensor& weight, Fan fan, double gain) {
  const auto [in, out] = fans(weight);
  return gain / std::sqrt(fan == Fan::in ? in : out);
}

double xavier_deviation(const at::Tensor& weight, double gain) {
  const auto [in, out] = fans(weight);
  return gain * std::sqrt(2 / (in + out));
}

// A uniform distribution in [-b, b) has variance b^2 / 3.
double uniform_bound(double deviation) { return std::sqrt(3.0) * deviation; }

}  // namespace

Fans fans(const at::Tensor& weight) {
  if (weight.dim() < 2) {
    throw Error("a tensor of " + std::to_string(weight.dim()) + " dimensions",
                "at least 2: (out, in, *kernel)", "fan of a weight");
  }
  double kernel = 1;
  for (std::int64_t d = 2; d < weight.dim(); ++d) kernel *= static_cast<double>(weight.size(d));
  return {static_cast<double>(weight.size(1)) * kernel,
          static_cast<double>(weight.size(0)) * kernel};
}

double leaky_relu_gain(double slope) { return std::sqrt(2 / (1 + slope * slope)); }

void uniform_(at::Tensor tensor, double bound, const Options& options) {
  torch::NoGradGuard no_grad;
  tensor.copy_(scratch(tensor, options).uniform_(-bound, bound, options.generator));
}

void normal_(at::Tensor tensor, double deviation, const Options& options) {
  torch::NoGradGuard no_grad;
  tensor.copy_(scratch(tensor, options).normal_(0, deviation, options.generator));
}

void xavier_uniform_(at::Tensor weight, double gain, const Options& options) {
  uniform_(weight, uniform_bound(xavier_deviation(weight, gain)), options);
}

void xavier_normal_(at::Tensor weight, double gain, const Options& options) {
  normal_(weight, xavier_deviation(weight, gain), options);
}

void kaiming_uniform_(at::Tensor weight, Fan fan, double gain, const Options& options) {
  uniform_(weight, uniform_bound(kaiming_deviation(weight, fan, gain)), options);
}

void kaiming_normal_(at::Tensor weight, Fan fan, double gain, const Options& options) {
  normal_(weight, kaiming_deviation(weight, fan, gain), options);
}

}  // namespace halftone::init
