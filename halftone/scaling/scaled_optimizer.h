// The small interface by which GradScaler steps an optimizer in two passes over the gradients.
#pragma once

#include <cstdint>

#include "halftone/base/export.h"

namespace halftone {

// What one read of all gradients found.
struct GradientCheck {
  std::int64_t tensors = 0;            // gradients read
  std::int64_t first_non_finite = -1;  // index over the parameters of all groups in order, or -1
  double norm = 0;                     // global L2 norm of the gradients as read (still scaled)

  bool finite() const { return first_non_finite < 0; }
};

// Implemented by halftone::optim's optimizers beside torch::optim::Optimizer. Any other optimizer
// is stepped by unscaling its gradients in place.
class HALFTONE_API ScaledOptimizer {
 public:
  virtual ~ScaledOptimizer() = default;

  // One read of all gradients, nothing written.
  virtual GradientCheck check_gradients() = 0;

  // One pass that reads each gradient, multiplies it by `inverse_scale`, clips, updates masters and
  // writes half weights. Only called where `check` (of this step's gradients) is finite.
  virtual void scaled_step(double inverse_scale, const GradientCheck& check) = 0;
};

}  // namespace halftone
