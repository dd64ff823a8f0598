// Learning-rate schedules. Each is a closed formula of the number of applied optimizer steps (and,
// for PlateauLr, of what was observed), so that a restored schedule is the uninterrupted one bit
// for bit.
#pragma once

#include <torch/optim/optimizer.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/ops/state_dict.h"

namespace halftone {
class StateReader;
}

namespace halftone::optim {

// Sets the learning rate of every parameter group of any torch::optim::Optimizer. The rate that a
// group has when the scheduler is made is its base rate; a schedule multiplies it, so that groups
// keep their ratio. The optimizer must outlive the scheduler. Not thread-safe.
class HALFTONE_API Scheduler {
 public:
  virtual ~Scheduler() = default;
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Call once after each optimizer step that was applied, never after a skipped one.
  void step();

  // Tells the value of the watched metric after an evaluation. Only PlateauLr (also inside
  // WarmUpLr) listens.
  virtual void observe(double metric);

  // The factor on the base rates after `steps` applied steps, given what was observed until now.
  virtual double factor(std::int64_t steps) const = 0;

  std::int64_t steps() const { return steps_; }
  double lr(std::size_t group = 0) const;  // as set in the group now
  const std::vector<double>& base_lrs() const { return base_lrs_; }

  // {"steps", "base_lrs"} and what a subclass adds. Loading also sets the groups' rates; throws
  // Error for another number of groups. The schedule's own numbers (its options) are not saved.
  StateDict state_dict() const;
  void load_state_dict(const StateDict& state);

 protected:
  explicit Scheduler(torch::optim::Optimizer& optimizer);
  Scheduler(torch::optim::Optimizer& optimizer, std::vector<double> base_lrs);

  // Writes the rates into the groups. A subclass's constructor calls it last.
  void apply();

  // A subclass's own keys. load() reads them and returns what assigns them, which is called once
  // the whole state is known to be right.
  virtual void save(StateDict& state) const;
  virtual std::function<void()> load(StateReader& reader);
  friend class WarmUpLr;

 private:
  torch::optim::Optimizer& optimizer_;
  std::vector<double> base_lrs_;
  std::int64_t steps_ = 0;
};

// The base rates for ever.
class HALFTONE_API ConstantLr : public Scheduler {
 public:
  explicit ConstantLr(torch::optim::Optimizer& optimizer);
  double factor(std::int64_t) const override { return 1; }
};

// gamma^floor(steps / step_size), as torch.optim.lr_scheduler.StepLR.
class HALFTONE_API StepLr : public Scheduler {
 public:
  // step_size >= 1; gamma > 0.
  StepLr(torch::optim::Optimizer& optimizer, std::int64_t step_size, double gamma = 0.1);
  double factor(std::int64_t steps) const override;

 private:
  std::int64_t step_size_;
  double gamma_;
};

// gamma^(milestones reached), as MultiStepLR. The milestones ascend; a repeated one counts twice.
class HALFTONE_API MultiStepLr : public Scheduler {
 public:
  MultiStepLr(torch::optim::Optimizer& optimizer, std::vector<std::int64_t> milestones,
              double gamma = 0.1);
  double factor(std::int64_t steps) const override;

 private:
  std::vector<std::int64_t> milestones_;
  double gamma_;
};

// gamma^steps, as ExponentialLR.
class HALFTONE_API ExponentialLr : public Scheduler {
 public:
  ExponentialLr(torch::optim::Optimizer& optimizer, double gamma);
  double factor(std::int64_t steps) const override;

 private:
  double gamma_;
};

// Half a cosine from 1 down to min_factor in total_steps, then min_factor (Loshchilov and Hutter
// 2017, equation 5, without restarts). CosineAnnealingLR with eta_min = min_factor * base rate;
// unlike it, the rate stays down after total_steps.
class HALFTONE_API CosineLr : public Scheduler {
 public:
  CosineLr(torch::optim::Optimizer& optimizer, std::int64_t total_steps, double min_factor = 0);
  double factor(std::int64_t steps) const override;

 private:
  std::int64_t total_steps_;
  double min_factor_;
};

}  // namespace halftone::optim
