#include "halftone/optim/scheduler_plateau.h"

#include <algorithm>
#include <limits>

#include "halftone/ops/state_reader.h"
#include "halftone/optim/check.h"

namespace halftone::optim {

PlateauLr::PlateauLr(torch::optim::Optimizer& optimizer, const PlateauOptions& options)
    : Scheduler(optimizer),
      options_(options),
      best_(options.maximise ? -std::numeric_limits<double>::infinity()
                             : std::numeric_limits<double>::infinity()) {
  check_positive(options.factor, "PlateauLr factor");
  check_between(options.factor, 0, 1, "PlateauLr factor");
  check_at_least(options.patience, 0, "PlateauLr patience");
  check_at_least(options.cooldown, 0, "PlateauLr cooldown");
  check_between(options.min_factor, 0, 1, "PlateauLr min_factor");
  check_between(options.threshold, 0, options.relative ? 1 - 1e-9 : 1e300, "PlateauLr threshold");
  apply();
}

bool PlateauLr::improves(double metric) const {
  const double sign = options_.maximise ? 1 : -1;
  const double bar = options_.relative ? best_ * (1 + sign * options_.threshold)
                                       : best_ + sign * options_.threshold;
  return options_.maximise ? metric > bar : metric < bar;
}

void PlateauLr::observe(double metric) {
  if (improves(metric)) {
    best_ = metric;
    bad_ = 0;
  } else {
    ++bad_;
  }
  if (cooling_ > 0) {
    --cooling_;
    bad_ = 0;
  }
  if (bad_ > options_.patience) {
    scale_ = std::max(scale_ * options_.factor, options_.min_factor);
    ++reductions_;
    cooling_ = options_.cooldown;
    bad_ = 0;
  }
  apply();
}

void PlateauLr::save(StateDict& state) const {
  state.insert("scale", scale_);
  state.insert("best", best_);
  state.insert("bad", bad_);
  state.insert("cooling", cooling_);
  state.insert("reductions", reductions_);
}

std::function<void()> PlateauLr::load(StateReader& reader) {
  const double scale = reader.number("scale"), best = reader.number("best");
  const auto bad = reader.integer("bad"), cooling = reader.integer("cooling");
  const auto reductions = reader.integer("reductions");
  return [=, this] {
    scale_ = scale, best_ = best;
    bad_ = bad, cooling_ = cooling, reductions_ = reductions;
  };
}

}  // namespace halftone::optim
