#include "halftone/train/evaluation.h"

#include <ATen/core/grad_mode.h>

#include <chrono>

#include "halftone/metrics/running_loss.h"
#include "halftone/metrics/top_k.h"
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

// The share of the batch that is right, or NaN.
double share_right(const EvaluationParts& parts, const at::Tensor& output,
                   const at::Tensor& target) {
  if (parts.metric) return parts.metric(output, target).item<double>();
  if (output.dim() != 2 || target.dim() != 1 || target.scalar_type() != at::kLong)
    return std::numeric_limits<double>::quiet_NaN();
  return static_cast<double>(metrics::top_k_correct(output, target, 1)) /
         static_cast<double>(target.size(0));
}

}  // namespace

c10::Device device_of(const torch::nn::Module& module) {
  const auto parameters = module.parameters();
  return parameters.empty() ? c10::Device(c10::kCPU) : parameters[0].device();
}

at::Tensor to_input(const at::Tensor& input, c10::Device device, Format compute) {
  const at::Tensor local = input.to(device);
  if (compute != Format::fp64 || !local.is_floating_point()) return local;
  return local.to(at::kDouble);
}

std::optional<Evaluation> evaluate(const EvaluationParts& parts,
                                   const std::function<bool()>& stop) {
  const auto start = std::chrono::steady_clock::now();
  const at::NoGradGuard no_grad;
  const EvaluationMode mode(parts.module);
  const c10::Device device = device_of(parts.module);
  const GeneratorKept generator(device);
  Policy policy = parts.policy;
  policy.compute = policy.evaluation;

  metrics::RunningLoss loss, right;
  parts.loader.start_epoch(0);
  while (const auto batch = parts.loader.next()) {
    const at::Tensor target = batch->target.to(device);
    const at::Tensor input = to_input(batch->input, device, policy.compute);
    const Autocast autocast(policy, device.type());
    const at::Tensor output = parts.forward(input);
    const auto samples = static_cast<std::int64_t>(batch->indices.size());
    loss.add(parts.loss(output, target).item<double>(), samples);
    right.add(share_right(parts, output, target), samples);
    if (stop && stop()) return std::nullopt;
  }
  Evaluation result;
  result.samples = loss.samples();
  result.loss = loss.mean();
  result.accuracy = right.mean();
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace halftone
