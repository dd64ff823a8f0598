// What NumericsMonitor saw in one step, and its form as JSON. Torch-free.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/base/json.h"
#include "halftone/numerics/format_fit.h"

namespace halftone::numerics {

enum class TensorKind { activation, activation_grad, weight, weight_grad, update };

// "activation", "activation_grad", …
HALFTONE_API const char* tensor_kind_name(TensorKind kind);

struct TensorStatistics {
  TensorKind kind = TensorKind::activation;
  std::string name;    // of the parameter; of an activation: that of the layer that made it
  std::string format;  // "fp16"
  std::int64_t count = 0, zeros = 0, not_finite = 0;
  double amax = 0, rms = 0;  // of the finite ones
  ExponentHistogram exponents{};
  // Of updates of half weights, else -1: the share of the elements with an update that is smaller
  // than half an ulp of the weight, and of those with a gradient whose weight kept its bits.
  double below_half_ulp = -1, unmoved = -1;
  // The power of two of its own that a gradient was multiplied by where it was held
  // (DynamicPolicy:: layer_scales); amax, rms and exponents are without it.
  double layer_scale = 1;

  // As the tensor is held: with its layer scale.
  HALFTONE_API FormatFit fit(const CandidateFormat& format) const;
  HALFTONE_API double headroom(const CandidateFormat& format) const;  // headroom_bits()
  // Divides what was counted of the tensor as it was held, and notes the scale: a power of two.
  HALFTONE_API void take_out_layer_scale(double scale);
};

struct RangeReport {
  std::int64_t step = 0;
  double loss_scale = 1;  // gradients are as they were: multiplied by it
  std::vector<TensorStatistics> tensors;

  HALFTONE_API Json to_json() const;
  // Throws Error for what to_json() does not write.
  static HALFTONE_API RangeReport from_json(const Json& json);
};

}  // namespace halftone::numerics
