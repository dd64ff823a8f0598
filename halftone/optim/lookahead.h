// Slow weights that the trained ones are drawn back to.
#pragma once

#include <torch/nn/module.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/ops/state_dict.h"

namespace halftone::optim {

struct LookaheadOptions {
  std::int64_t every = 0;  // steps from one pull to the next
  // Of the slow weights at a pull, at the end of total_steps: it grows with the cube of the steps
  // done, from 0, where a pull changes nothing.
  double decay = 0;
  std::int64_t total_steps = 0;
};

// Zhang, Lucas, Hinton, Ba 2019, "Lookahead Optimizer: k steps forward, 1 step back" (algorithm 1),
// with the growing decay of Jordan 2024 (arXiv:2404.00498, section 3.4). A pull at step t:
//   slow <- d slow + (1 - d) weight, weight <- slow, d = decay (t / total_steps)^3.
// Slow weights are fp32 (fp64 where the weight has it). Floating-point buffers (running statistics)
// go the same way, others stay. The optimizer's moments are left alone. Not thread-safe.
class HALFTONE_API Lookahead {
 public:
  // The tensor that steps are taken on; where it is the optimizer's own, it is written, too:
  // MasterOptimizer::master.
  using MasterOf = std::function<at::Tensor(const at::Tensor& parameter)>;

  // Starts from the present weights. `module` need not outlive it, its tensors are held. master:
  // may be empty. Throws Error for options out of range.
  Lookahead(const torch::nn::Module& module, const LookaheadOptions& options, MasterOf master = {});

  // Call once after each applied optimizer step.
  void update();

  std::int64_t updates() const { return updates_; }

  // {"updates", "slow": {name: tensor}}; the options are not saved.
  StateDict state_dict() const;
  void load_state_dict(const StateDict& state);

 private:
  struct Entry {
    std::string name;
    at::Tensor live, slow;
  };

  LookaheadOptions options_;
  MasterOf master_;
  std::vector<Entry> entries_;
  std::int64_t updates_ = 0;
};

}  // namespace halftone::optim
