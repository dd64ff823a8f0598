// The one-cycle schedule (Smith and Topin 2018, "Super-convergence").
#pragma once

#include "halftone/optim/scheduler.h"

namespace halftone::optim {

// Defaults of torch.optim.lr_scheduler.OneCycleLR.
struct OneCycleOptions {
  std::int64_t total_steps = 0;   // must be given; at least 2
  double rise = 0.3;              // part of the steps in which the rate rises: between 0 and 1
  double div_factor = 25;         // start = peak / div_factor
  double final_div_factor = 1e4;  // end = start / final_div_factor
  bool linear = false;            // straight lines instead of half cosines
};

// The base rate is the peak. Rises from base/div_factor to base, then falls to
// base/div_factor/final_div_factor, which the last of total_steps reaches; stays there. Momentum is
// left alone (OneCycleLR with cycle_momentum=False).
class HALFTONE_API OneCycleLr : public Scheduler {
 public:
  OneCycleLr(torch::optim::Optimizer& optimizer, const OneCycleOptions& options);
  double factor(std::int64_t steps) const override;

 private:
  OneCycleOptions options_;
};

}  // namespace halftone::optim
