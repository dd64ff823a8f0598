#include "halftone/optim/scheduler_one_cycle.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "halftone/optim/check.h"

namespace halftone::optim {

OneCycleLr::OneCycleLr(torch::optim::Optimizer& optimizer, const OneCycleOptions& options)
    : Scheduler(optimizer), options_(options) {
  check_at_least(options.total_steps, 2, "OneCycleLr total_steps");
  check_between(options.rise, 0, 1, "OneCycleLr rise");
  check_positive(options.div_factor, "OneCycleLr div_factor");
  check_positive(options.final_div_factor, "OneCycleLr final_div_factor");
  apply();
}

double OneCycleLr::factor(std::int64_t steps) const {
  const double last = static_cast<double>(options_.total_steps - 1);
  const double top = options_.rise * static_cast<double>(options_.total_steps) - 1;
  const double now = std::min(static_cast<double>(steps), last);
  const double start = 1 / options_.div_factor, end = start / options_.final_div_factor;
  const bool rising = now <= top && top > 0;
  const double from = rising ? start : 1, to = rising ? 1 : end;
  // The fall begins where the rise ends, also where there is no step to rise in (top <= 0).
  const double part = rising ? now / top : (now - top) / (last - top);
  if (options_.linear) return from + (to - from) * part;
  return to + (from - to) / 2 * (1 + std::cos(std::numbers::pi * part));
}

}  // namespace halftone::optim
