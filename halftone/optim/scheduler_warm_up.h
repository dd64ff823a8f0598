// Linear warm-up in front of any schedule.
#pragma once

#include <memory>

#include "halftone/optim/scheduler.h"

namespace halftone::optim {

// For `warm_up_steps` steps the rate rises linearly from start_factor to 1 times the first rate of
// `after`; then `after` runs from its own step 0 (torch's SequentialLR of LinearLR and it; Goyal et
// al. 2017, 2.2). Step and observe this scheduler only, not `after`.
class HALFTONE_API WarmUpLr : public Scheduler {
 public:
  // warm_up_steps >= 0 (0: `after` alone); start_factor in (0, 1].
  WarmUpLr(std::shared_ptr<Scheduler> after, std::int64_t warm_up_steps,
           double start_factor = 1.0 / 3);

  void observe(double metric) override;
  double factor(std::int64_t steps) const override;

 protected:
  void save(StateDict& state) const override;
  std::function<void()> load(StateReader& reader) override;

 private:
  std::shared_ptr<Scheduler> after_;
  std::int64_t warm_up_steps_;
  double start_factor_;
};

}  // namespace halftone::optim
