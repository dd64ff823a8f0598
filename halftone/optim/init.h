// Initialisers of weights: Xavier (Glorot and Bengio 2010) and Kaiming (He et al. 2015).
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <optional>

#include "halftone/base/export.h"
#include "halftone/precision/format.h"

namespace halftone::init {

struct Options {
  Format format = Format::fp32;  // drawn in it (fp32 or fp64), then rounded to the tensor's
  std::optional<at::Generator> generator;  // LibTorch's default one where empty
};

enum class Fan { in, out };

// Inputs and outputs of one unit of a weight (out, in, *kernel). Throws Error below two dimensions.
struct Fans {
  double in, out;
};
HALFTONE_API Fans fans(const at::Tensor& weight);

// sqrt(2 / (1 + slope^2)): what a leaky ReLU of that slope needs; 0 is ReLU (He et al. 2015, 2.2).
HALFTONE_API double leaky_relu_gain(double slope = 0);

// Each fills `weight` (any format and memory format, at least 2-D) in place, without gradients. The
// values depend on generator, shape and format alone, not on strides.
// Xavier: variance gain^2 * 2 / (in + out); Kaiming: gain^2 / fan.
HALFTONE_API void xavier_uniform_(at::Tensor weight, double gain = 1, const Options& options = {});
HALFTONE_API void xavier_normal_(at::Tensor weight, double gain = 1, const Options& options = {});
HALFTONE_API void kaiming_uniform_(at::Tensor weight, Fan fan = Fan::in,
                                   double gain = leaky_relu_gain(), const Options& options = {});
HALFTONE_API void kaiming_normal_(at::Tensor weight, Fan fan = Fan::in,
                                  double gain = leaky_relu_gain(), const Options& options = {});

// The distributions under them, for any shape: uniform in [-bound, bound), normal around 0.
HALFTONE_API void uniform_(at::Tensor tensor, double bound, const Options& options = {});
HALFTONE_API void normal_(at::Tensor tensor, double deviation, const Options& options = {});

}  // namespace halftone::init
