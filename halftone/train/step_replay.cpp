#include "halftone/train/step_replay.h"

#include <ATen/record_function.h>
#include <torch/nn/module.h>
#include <torch/optim/optimizer.h>

#include <chrono>
#include <exception>
#include <memory>
#include <utility>

#include "halftone/numerics/buffers_kept.h"
#include "halftone/numerics/operation_watch.h"
#include "halftone/ops/generator.h"
#include "halftone/precision/autocast.h"
#include "halftone/scaling/grad_scaler.h"
#include "halftone/train/evaluation.h"
#include "halftone/train/objective.h"

namespace halftone {
namespace {

using numerics::Fault;
using numerics::FaultFinder;
using numerics::FaultKind;

// Takes the gradients away and puts them back.
class GradientsAside {
 public:
  // trained: of the phase that is run again, whose new gradients are asked for.
  GradientsAside(const TrainerParts& parts, std::int64_t trained) {
    take(*parts.optimizer, trained == 0);
    for (const TrainerPhase& phase : parts.later_phases) {
      take(*phase.optimizer, &phase == &parts.later_phases.front() + trained - 1);
    }
  }
  ~GradientsAside() {
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      parameters_[i].mutable_grad() = gradients_[i];
    }
  }
  GradientsAside(const GradientsAside&) = delete;
  GradientsAside& operator=(const GradientsAside&) = delete;

  void add_new_to(std::vector<at::Tensor>& tensors) const {
    for (const at::Tensor& parameter : trained_) {
      if (parameter.grad().defined()) tensors.push_back(parameter.grad());
    }
  }

 private:
  void take(const torch::optim::Optimizer& optimizer, bool trained) {
    for (const auto& group : optimizer.param_groups()) {
      for (const at::Tensor& parameter : group.params()) {
        parameters_.push_back(parameter);
        gradients_.push_back(std::exchange(parameters_.back().mutable_grad(), at::Tensor()));
        if (trained) trained_.push_back(parameter);
      }
    }
  }

  std::vector<at::Tensor> parameters_, gradients_, trained_;
};

std::vector<std::pair<at::Tensor, std::string>> named_tensors(const data::Batch& batch) {
  std::vector<std::pair<at::Tensor, std::string>> list{{batch.input, "batch input"}};
  if (batch.target.defined()) list.push_back({batch.target, "batch target"});
  for (const auto& [name, tensor] : batch.extra) list.push_back({tensor, "batch " + name});
  return list;
}

// The first place where two passes differ, as the second one names it.
std::string first_difference(const std::vector<FaultFinder::Trace>& a,
                             const std::vector<FaultFinder::Trace>& b) {
  for (std::size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
    if (i >= a.size() || i >= b.size()) return (i < b.size() ? b[i] : a[i]).name;
    if (a[i] != b[i]) return b[i].name;
  }
  return "";
}

}  // namespace

StepReplay::StepReplay(const TrainerParts& parts, c10::Device device)
    : parts_(parts), device_(device) {}

void StepReplay::begin_step() {
  micro_batches_.clear();
  generator_ = generator_state();
  if (!device_.is_cpu()) device_generator_ = generator_state(device_);
  numerics::copy_tensors(parts_.module->buffers(), buffers_);
}

void StepReplay::add(const data::Batch& batch, std::int64_t group, std::int64_t phase) {
  micro_batches_.push_back({batch, group, phase});
}

void StepReplay::end_step() { micro_batches_.clear(); }

// The loss before it is scaled; scopes, the objective's too, name what reads no parameter.
at::Tensor StepReplay::run_micro_batch(GradScaler& scaler, const MicroBatch& micro, bool backward) {
  at::Tensor loss;
  {
    const Autocast autocast(parts_.policy, device_.type());
    loss = parts_.objective->phase_loss(on_device(micro.batch, device_, parts_.policy.compute),
                                        micro.phase);
  }
  if (!backward) return loss;
  at::Tensor scaled;
  {
    RECORD_USER_SCOPE("loss scale");
    scaled = scaler.scale(micro.group == 1 ? loss : loss / micro.group);
  }
  scaled.backward();
  return loss;
}

StepReplay::Pass StepReplay::run(GradScaler& scaler, Until until, bool trace) {
  const GeneratorKept generator;
  const GeneratorKept device_generator(device_);
  const numerics::BuffersKept buffers_kept(*parts_.module);
  GradientsAside gradients(parts_, micro_batches_.back().phase);
  set_generator_state(generator_);
  if (!device_.is_cpu()) set_generator_state(device_generator_, device_);
  std::vector<at::Tensor> buffers = parts_.module->buffers();
  numerics::copy_tensors(buffers_, buffers);

  const auto finder =
      std::make_shared<FaultFinder>(*parts_.module, numerics::FaultFinderOptions{.trace = trace});
  std::vector<at::Tensor> results;
  {
    const numerics::OperationWatch watch(finder);
    for (std::size_t i = 0; i < micro_batches_.size(); ++i) {
      const MicroBatch& micro = micro_batches_[i];
      finder->begin_pass(static_cast<std::int64_t>(i), named_tensors(micro.batch));
      const bool last = i + 1 == micro_batches_.size();
      results.push_back(
          run_micro_batch(scaler, micro, /*backward=*/!last || until == Until::gradients));
    }
    watch.rethrow();
  }
  if (until == Until::gradients) gradients.add_new_to(results);
  return {finder->fault(results), finder->trace()};
}

Fault StepReplay::find(GradScaler& scaler, Until until, std::int64_t& replays) {
  Pass first = run(scaler, until, /*trace=*/false);
  replays = 1;
  if (first.fault) return *first.fault;
  const Pass second = run(scaler, until, /*trace=*/true);
  const Pass third = run(scaler, until, /*trace=*/true);
  replays = 3;
  Fault fault;
  fault.kind = FaultKind::transient;
  fault.name = first_difference(second.trace, third.trace);
  return fault;
}

numerics::FaultReport StepReplay::explain(GradScaler& scaler, numerics::FaultReport about,
                                          Until until) {
  const auto start = std::chrono::steady_clock::now();
  try {
    about.fault = find(scaler, until, about.replays);
  } catch (const std::exception& error) {
    about.fault.kind = FaultKind::failed;
    about.fault.error = error.what();
  }
  about.micro_batches = static_cast<std::int64_t>(micro_batches_.size());
  about.hints = numerics::fault_hints(about);
  const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - start;
  about.replay_ms = taken.count();
  return about;
}

}  // namespace halftone
