#include "halftone/optim/scheduler_warm_up.h"

#include <utility>

#include "halftone/ops/state_reader.h"
#include "halftone/optim/check.h"

namespace halftone::optim {
namespace {

Scheduler& present(const std::shared_ptr<Scheduler>& after) {
  if (!after) throw Error("a null scheduler", "the schedule that follows the warm-up", "WarmUpLr");
  return *after;
}

}  // namespace

WarmUpLr::WarmUpLr(std::shared_ptr<Scheduler> after, std::int64_t warm_up_steps,
                   double start_factor)
    : Scheduler(present(after).optimizer_, present(after).base_lrs_),
      after_(std::move(after)),
      warm_up_steps_(warm_up_steps),
      start_factor_(start_factor) {
  check_at_least(warm_up_steps, 0, "WarmUpLr warm_up_steps");
  check_positive(start_factor, "WarmUpLr start_factor");
  check_between(start_factor, 0, 1, "WarmUpLr start_factor");
  apply();
}

void WarmUpLr::observe(double metric) {
  after_->observe(metric);
  apply();  // over what `after` has set
}

double WarmUpLr::factor(std::int64_t steps) const {
  if (steps >= warm_up_steps_) return after_->factor(steps - warm_up_steps_);
  const double part = static_cast<double>(steps) / static_cast<double>(warm_up_steps_);
  return after_->factor(0) * (start_factor_ + (1 - start_factor_) * part);
}

void WarmUpLr::save(StateDict& state) const {
  auto after = make_state_dict();
  after_->save(after);
  state.insert("after", after);
}

std::function<void()> WarmUpLr::load(StateReader& reader) {
  const auto state = reader.dict("after");
  StateReader inner(state, "scheduler.after");
  auto assign = after_->load(inner);
  inner.finish();
  return assign;
}

}  // namespace halftone::optim
