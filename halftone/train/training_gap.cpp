#include "halftone/train/training_gap.h"

#include <torch/nn/module.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "halftone/numerics/operation_watch.h"
#include "halftone/numerics/precision_probe.h"
#include "halftone/numerics/trial_pass.h"
#include "halftone/ops/generator.h"
#include "halftone/precision/emulated_layers.h"
#include "halftone/precision/emulation.h"
#include "halftone/precision/quantize.h"
#include "halftone/train/objective.h"
#include "halftone/train/weights.h"

namespace halftone {
namespace {

using numerics::LoweredOperation;

// Until it is destroyed the module trains in fp32 on its masters; then nothing is left of it.
class TrialScope {
 public:
  TrialScope(torch::nn::Module& module, const NamedTensors& masters, c10::Device device)
      : module_(module),
        training_(module.is_training()),
        histories_(save_layer_histories(module)),
        replaced_(module, masters, at::kFloat),
        generator_(device) {
    module_.train();
  }
  ~TrialScope() {
    load_layer_histories(module_, histories_);
    module_.train(training_);
  }
  TrialScope(const TrialScope&) = delete;
  TrialScope& operator=(const TrialScope&) = delete;

 private:
  torch::nn::Module& module_;
  bool training_;
  StateDict histories_;
  WeightsReplaced replaced_;
  GeneratorKept generator_;
};

const std::string& emulated_name(const EmulationPolicy& emulation) {
  for (const auto* name : {&emulation.activations, &emulation.weights}) {
    if (*name != "none") return *name;
  }
  return emulation.gradients;
}

bool is_emulated(const Policy& policy, const LoweredOperation& operation,
                 const torch::nn::Module& module) {
  if (!policy.emulation.active() || !product_of(operation.operation)) return false;
  const auto parameters = module.named_parameters();
  const at::Tensor* weight = parameters.find(operation.parameter);
  const auto layer = weight ? layer_of(*weight) : nullptr;
  return layer && !(policy.emulation.exempt_ends && layer->is_end());
}

// As a rule names it. Empty where it is in fp32 already.
std::optional<RaisableOperation> raisable_operation(const Policy& policy,
                                                    const LoweredOperation& operation,
                                                    const torch::nn::Module& module) {
  RaisableOperation result;
  result.target = {operation.name(), /*operation=*/operation.parameter.empty()};
  std::optional<Format> rule;
  if (!operation.parameter.empty()) rule = policy.module_format(operation.parameter);
  if (!rule) rule = policy.operation_format(operation.operation);
  if (!rule && is_emulated(policy, operation, module)) {
    result.from = emulated_name(policy.emulation);
    result.to = policy.compute;
    return result;
  }
  const Format format = rule.value_or(policy.compute);
  if (!is_half(format)) return std::nullopt;
  result.from = format_name(format);
  return result;
}

// `which` alone as it is under `policy`, all others in fp32.
Policy alone(const Policy& policy, const std::vector<RaisableOperation>& operations,
             std::size_t which) {
  MovedFormats moved;
  for (const RaisableOperation& each : operations) moved.emplace(each.target, Format::fp32);
  moved.erase(operations[which].target);
  Policy result = with_moved(policy, moved);
  const RaisableOperation& kept = operations[which];
  // A rule of its own, since one for another's operation may be for its own, too. An emulated one
  // has none.
  if (kept.target.operation || is_number_format(kept.from)) return result;
  result.modules.push_back({kept.target.match, parse_format(kept.from)});
  return result;
}

}  // namespace

TrainingGap::TrainingGap(GapParts parts) : parts_(std::move(parts)) {
  const CalibrationPolicy& rule = *parts_.trained.policy.calibrate;
  Policy policy = Policy::preset("fp32");
  policy.evaluation = rule.reference;
  const WeightsReplaced replaced(*parts_.trained.module, parts_.masters,
                                 scalar_type(rule.reference));
  reference_ = evaluate_under(policy);
}

Evaluation TrainingGap::evaluate_under(const Policy& policy) const {
  const TrainerParts& trained = parts_.trained;
  return *evaluate({*trained.module, *trained.objective, *trained.evaluation, policy,
                    trained.policy.calibrate->batches});
}

FormatGap TrainingGap::gap(const Policy& policy) {
  Policy training = policy;
  training.evaluation = training.compute;
  const Evaluation found = evaluate_under(training);
  FormatGap gap;
  gap.loss = found.loss;
  gap.reference_loss = reference_.loss;
  if (!found.metrics.empty() && !reference_.metrics.empty()) {
    gap.metric = found.metrics[0];
    gap.reference_metric = reference_.metric(found.metrics[0].kind.name);
  }
  return gap;
}

// Of all phases together.
at::Tensor TrainingGap::loss() const {
  Objective& objective = *parts_.trained.objective;
  const data::Batch batch = on_device(parts_.batch, parts_.device, Format::fp32);
  at::Tensor sum = objective.phase_loss(batch, 0);
  for (std::int64_t phase = 1; phase < objective.phases(); ++phase) {
    sum = sum + objective.phase_loss(batch, phase);
  }
  return sum;
}

std::vector<RaisableOperation> TrainingGap::raisable(const Policy& policy) {
  torch::nn::Module& module = *parts_.trained.module;
  const TrialScope scope(module, parts_.masters, parts_.device);
  const auto timer = std::make_shared<numerics::OperationTimer>(module);
  timer->begin_step();
  {
    const numerics::OperationWatch watch(timer);
    numerics::run_trial_pass(module, {policy, parts_.loss_scale, generator_state()},
                             [this] { return loss(); });
    watch.rethrow();
  }
  std::vector<RaisableOperation> operations;
  for (const LoweredOperation& each : timer->operations()) {
    if (auto raisable = raisable_operation(policy, each, module)) {
      operations.push_back(std::move(*raisable));
    }
  }
  return operations;
}

void TrainingGap::measure(const Policy& policy, std::vector<RaisableOperation>& operations) {
  torch::nn::Module& module = *parts_.trained.module;
  const TrialScope scope(module, parts_.masters, parts_.device);
  numerics::PrecisionProbe probe(module, 1, [this](std::size_t) { return loss(); });
  const bool scaled = policy.loss_scale.kind != LossScaling::none;
  const double scale = scaled ? probe.find_loss_scale(policy, parts_.loss_scale) : 1;
  for (std::size_t i = 0; i < operations.size(); ++i) {
    operations[i].error = probe.measure(alone(policy, operations, i), std::max(1.0, scale));
  }
}

}  // namespace halftone
