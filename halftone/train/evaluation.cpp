#include "halftone/train/evaluation.h"

#include <ATen/core/grad_mode.h>

#include <chrono>

#include "halftone/ops/generator.h"
#include "halftone/precision/autocast.h"

namespace halftone {
namespace {

class EvaluationMode {
 public:
  explicit EvaluationMode(torch::nn::Module& module)
      : module_(module), training_(module.is_training()) {
    module_.eval();
  }
  ~EvaluationMode() { module_.train(training_); }
  EvaluationMode(const EvaluationMode&) = delete;
  EvaluationMode& operator=(const EvaluationMode&) = delete;

 private:
  torch::nn::Module& module_;
  bool training_;
};

}  // namespace

c10::Device device_of(const torch::nn::Module& module) {
  const auto parameters = module.parameters();
  return parameters.empty() ? c10::Device(c10::kCPU) : parameters[0].device();
}

data::Batch on_device(const data::Batch& batch, c10::Device device, Format compute) {
  const auto move = [&](const at::Tensor& tensor) {
    if (!tensor.defined()) return tensor;
    const at::Tensor local = tensor.to(device);
    return compute == Format::fp64 && local.is_floating_point() ? local.to(at::kDouble) : local;
  };
  data::Batch result{move(batch.input), move(batch.target), batch.indices};
  for (const auto& [name, tensor] : batch.extra) result.extra.emplace(name, move(tensor));
  return result;
}

std::optional<Evaluation> evaluate(const EvaluationParts& parts, const std::function<bool()>& stop,
                                   EvaluationDetails* details) {
  const auto start = std::chrono::steady_clock::now();
  const at::NoGradGuard no_grad;
  const EvaluationMode mode(parts.module);
  const c10::Device device = device_of(parts.module);
  const GeneratorKept generator(device);
  const Policy policy = parts.policy.for_evaluation();

  const auto meter = parts.objective.meter();
  parts.source.start_epoch(0);
  for (std::int64_t done = 0; parts.batches == 0 || done < parts.batches; ++done) {
    const auto batch = parts.source.next();
    if (!batch) break;
    const data::Batch local = on_device(*batch, device, policy.compute);
    const Autocast autocast(policy, device.type());
    meter->add(local);
    if (stop && stop()) return std::nullopt;
  }
  Evaluation result;
  result.samples = meter->samples();
  result.loss = meter->loss();
  result.metrics = meter->values();
  if (details) *details = meter->details();
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace halftone
