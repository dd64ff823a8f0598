// A network that bf16 hurts in one place, trained under [calibrate].
#pragma once

#include <torch/torch.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "tests/train/rig.h"

namespace halftone::calibration_rig {

inline TrainerOptions quiet_options() {
  TrainerOptions options;
  options.handle_signals = false;
  return options;
}

// Of a loss: fp32's step at 1000 is 2^-14, which `last` multiplies by up to 20 / 4 in 16 terms that
// add up at random.
constexpr double kFp32At1000 = 0x1p-14 * 5 * 4;

// `hurt` puts out numbers around `offset`; bf16's step at 1000 is 4, as large as what they tell.
struct LargeMean : torch::nn::Module {
  LargeMean() {
    first = register_module("first", torch::nn::Linear(16, 16));
    hurt = register_module("hurt", torch::nn::Linear(16, 16));
    last = register_module("last", torch::nn::Linear(16, 4));
    const at::NoGradGuard no_grad;
    last->weight.mul_(20);  // so that the loss depends on what `hurt` tells from the start
  }
  at::Tensor forward(const at::Tensor& x) {
    const at::Tensor bias = hurt->bias + offset;
    const at::Tensor y = torch::addmm(bias, torch::relu(first(x.flatten(1))), hurt->weight.t());
    return last(torch::relu(y.to(x.scalar_type()) - offset));
  }
  torch::nn::Linear first{nullptr}, hurt{nullptr}, last{nullptr};
  double offset = 1000;
};

struct CalibratedRun {
  explicit CalibratedRun(const Policy& policy, TrainerOptions options = quiet_options(),
                         std::function<void(TrainerParts&)> change = {}) {
    rig::Setup setup;
    setup.change = [&](TrainerParts& parts) {
      torch::manual_seed(7);
      net = std::make_shared<LargeMean>();
      halftone::apply(policy, *net);
      parts.module = net;
      parts.forward = [net = net](const at::Tensor& input) { return net->forward(input); };
      parts.policy = policy;
      parts.scheduler = nullptr;
      parts.optimizer = rig::make_optimizer(policy, *net);
      if (change) change(parts);
    };
    trainer = rig::make_trainer(options, setup);
    source = rig::make_loader(100, 16, true);
  }
  void steps(int count) {
    for (int i = 0; i < count; ++i) {
      if (source->epoch() < 0 || source->position() == source->batches()) {
        source->start_epoch(source->epoch() + 1);
      }
      trainer->step(*source->next());
    }
  }
  std::shared_ptr<LargeMean> net;
  std::shared_ptr<Trainer> trainer;
  std::shared_ptr<data::Loader> source;
};

inline Policy calibrating(const std::string& preset, CalibrationPolicy rule) {
  Policy policy = Policy::preset(preset);
  policy.calibrate = rule;
  return policy;
}

inline Policy large_mean_policy() {
  return calibrating("bf16", {.every = 5, .loss_bound = 0.05, .patience = 2});
}

}  // namespace halftone::calibration_rig
