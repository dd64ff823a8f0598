// Reduces the rate where a watched metric no longer improves.
#pragma once

#include "halftone/optim/scheduler.h"

namespace halftone::optim {

// Defaults of torch.optim.lr_scheduler.ReduceLROnPlateau.
struct PlateauOptions {
  bool maximise = false;       // true for an accuracy, false for a loss
  double factor = 0.1;         // of one reduction: between 0 and 1
  std::int64_t patience = 10;  // observations without improvement that are borne
  double threshold = 1e-4;     // an improvement is larger than this
  bool relative = true;        // the threshold is a part of the best value
  std::int64_t cooldown = 0;   // observations after a reduction that do not count as bad
  double min_factor = 0;       // of the base rate: never below
};

// observe() decides, step() only counts. NaN never counts as an improvement. Unlike
// ReduceLROnPlateau there is no eps: a reduction is always made.
class HALFTONE_API PlateauLr : public Scheduler {
 public:
  explicit PlateauLr(torch::optim::Optimizer& optimizer, const PlateauOptions& options = {});

  void observe(double metric) override;
  double factor(std::int64_t) const override { return scale_; }
  std::int64_t reductions() const { return reductions_; }

 protected:
  void save(StateDict& state) const override;
  std::function<void()> load(StateReader& reader) override;

 private:
  bool improves(double metric) const;

  PlateauOptions options_;
  double scale_ = 1;
  double best_;
  std::int64_t bad_ = 0, cooling_ = 0, reductions_ = 0;
};

}  // namespace halftone::optim
