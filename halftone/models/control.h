// Small networks that choose actions: what deep reinforcement learning trains on vectors.
#pragma once

#include <torch/nn/module.h>

#include <cstdint>
#include <memory>
#include <string>

#include "halftone/base/export.h"
#include "halftone/nn/layers.h"
#include "halftone/precision/format.h"

namespace halftone::models {

struct ControlOptions {
  std::string name = "dqn";  // or ppo
  std::int64_t observation = 0, actions = 0;
  std::int64_t width = 128;    // of both hidden layers
  std::uint64_t seed = 0;      // of the initial weights; LibTorch's own generator is not touched
  Format init = Format::fp32;  // in which they are drawn: fp32 or fp64
};

struct ControlOutput {
  at::Tensor scores;  // (N, actions), fp32 or fp64: dqn: values of the actions; ppo: logits
  at::Tensor value;   // (N), the same: of the state
};

// An agent's network. Thread-safe in evaluation mode.
class HALFTONE_API ControlNetwork : public torch::nn::Module {
 public:
  // observation: (N, observation) floating point, brought to the weights' format where no autocast
  // is active. Throws Error for another shape.
  ControlOutput forward(const at::Tensor& observation);

  const ControlOptions& options() const { return options_; }

 protected:
  explicit ControlNetwork(ControlOptions options) : options_(std::move(options)) {}
  virtual ControlOutput run(const at::Tensor& observation) = 0;

 private:
  ControlOptions options_;
};

// dqn: two layers with ReLU, then a value and advantages (Wang et al. 2016, equation 9), added in
// fp32: which action is best shows in the advantages, near 0 where half formats are fine, not in
// the last digits of large values; weights as LibTorch's own, with biases that are not 0, so that
// values may differ by how far from 0 an observation is. ppo: a network for the policy and one for
// the value, two layers with tanh each; the policy's last layer starts at a hundredth, so that all
// actions are equally likely; Xavier uniform, biases 0. Throws UsageError for an unknown name and
// options that make no sense.
HALFTONE_API std::shared_ptr<ControlNetwork> make_control(const ControlOptions& options);

}  // namespace halftone::models
