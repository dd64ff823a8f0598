#include "halftone/optim/scheduler.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <utility>

#include "halftone/base/error.h"
#include "halftone/base/text.h"
#include "halftone/ops/state_reader.h"
#include "halftone/optim/check.h"

namespace halftone::optim {
namespace {

std::vector<double> current_lrs(const torch::optim::Optimizer& optimizer) {
  std::vector<double> lrs;
  for (const auto& group : optimizer.param_groups()) lrs.push_back(group.options().get_lr());
  return lrs;
}

}  // namespace

Scheduler::Scheduler(torch::optim::Optimizer& optimizer)
    : Scheduler(optimizer, current_lrs(optimizer)) {}

Scheduler::Scheduler(torch::optim::Optimizer& optimizer, std::vector<double> base_lrs)
    : optimizer_(optimizer), base_lrs_(std::move(base_lrs)) {}

void Scheduler::apply() {
  auto& groups = optimizer_.param_groups();
  if (groups.size() != base_lrs_.size()) {
    throw Error(std::to_string(groups.size()) + " parameter groups",
                std::to_string(base_lrs_.size()) + ", as when the scheduler was made", "scheduler");
  }
  const double now = factor(steps_);
  for (std::size_t i = 0; i < groups.size(); ++i) groups[i].options().set_lr(base_lrs_[i] * now);
}

void Scheduler::step() {
  ++steps_;
  apply();
}

void Scheduler::observe(double) {}

double Scheduler::lr(std::size_t group) const {
  return optimizer_.param_groups().at(group).options().get_lr();
}

void Scheduler::save(StateDict&) const {}

std::function<void()> Scheduler::load(StateReader&) {
  return [] {};
}

StateDict Scheduler::state_dict() const {
  auto state = make_state_dict();
  state.insert("steps", steps_);
  state.insert("base_lrs", base_lrs_);
  save(state);
  return state;
}

void Scheduler::load_state_dict(const StateDict& state) {
  StateReader reader(state, "scheduler");
  const auto steps = reader.integer("steps");
  auto base_lrs = reader.numbers("base_lrs");
  const auto assign = load(reader);
  reader.finish();
  if (base_lrs.size() != base_lrs_.size()) {
    throw Error(std::to_string(base_lrs.size()) + " rates",
                std::to_string(base_lrs_.size()) + ", one for each parameter group",
                "scheduler.base_lrs");
  }
  if (steps < 0) throw Error(std::to_string(steps), "0 or more", "scheduler.steps");
  steps_ = steps;
  base_lrs_ = std::move(base_lrs);
  assign();
  apply();
}

ConstantLr::ConstantLr(torch::optim::Optimizer& optimizer) : Scheduler(optimizer) {}

StepLr::StepLr(torch::optim::Optimizer& optimizer, std::int64_t step_size, double gamma)
    : Scheduler(optimizer), step_size_(step_size), gamma_(gamma) {
  check_at_least(step_size, 1, "StepLr step_size");
  check_positive(gamma, "StepLr gamma");
  apply();
}

double StepLr::factor(std::int64_t steps) const {
  return std::pow(gamma_, static_cast<double>(steps / step_size_));
}

MultiStepLr::MultiStepLr(torch::optim::Optimizer& optimizer, std::vector<std::int64_t> milestones,
                         double gamma)
    : Scheduler(optimizer), milestones_(std::move(milestones)), gamma_(gamma) {
  if (!std::is_sorted(milestones_.begin(), milestones_.end())) {
    throw Error("milestones out of order", "ascending steps", "MultiStepLr");
  }
  if (!milestones_.empty()) check_at_least(milestones_.front(), 0, "MultiStepLr milestones");
  check_positive(gamma, "MultiStepLr gamma");
  apply();
}

double MultiStepLr::factor(std::int64_t steps) const {
  const auto reached = std::upper_bound(milestones_.begin(), milestones_.end(), steps);
  return std::pow(gamma_, static_cast<double>(reached - milestones_.begin()));
}

ExponentialLr::ExponentialLr(torch::optim::Optimizer& optimizer, double gamma)
    : Scheduler(optimizer), gamma_(gamma) {
  check_positive(gamma, "ExponentialLr gamma");
  apply();
}

double ExponentialLr::factor(std::int64_t steps) const {
  return std::pow(gamma_, static_cast<double>(steps));
}

CosineLr::CosineLr(torch::optim::Optimizer& optimizer, std::int64_t total_steps, double min_factor)
    : Scheduler(optimizer), total_steps_(total_steps), min_factor_(min_factor) {
  check_at_least(total_steps, 1, "CosineLr total_steps");
  check_between(min_factor, 0, 1, "CosineLr min_factor");
  apply();
}

double CosineLr::factor(std::int64_t steps) const {
  const double part = static_cast<double>(std::min(steps, total_steps_)) / total_steps_;
  return min_factor_ + (1 - min_factor_) * (1 + std::cos(std::numbers::pi * part)) / 2;
}

}  // namespace halftone::optim
