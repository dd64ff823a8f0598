// Exponential moving average of a network's weights.
#pragma once

#include <torch/nn/module.h>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/ops/state_dict.h"

namespace halftone::optim {

struct EmaOptions {
  double decay = 0.999;  // in [0, 1)
  // Weighs the first updates as Adam's bias correction does (Kingma and Ba 2015, section 3): the
  // average after t updates is the weighted mean of those t values alone, not of the initial ones.
  bool warm_up = true;
};

// average <- decay * average + (1 - decay) * weight, in fp32 (fp64 where the weight has it).
// Buffers (running statistics) are copied, not averaged. Not thread-safe.
class HALFTONE_API Ema {
 public:
  // The tensor that holds a parameter's full-precision value: MasterOptimizer::master.
  using MasterOf = std::function<at::Tensor(const at::Tensor& parameter)>;

  // Starts from the present weights. `module` need not outlive it, its tensors are held. master:
  // may be empty, then the parameters themselves are averaged.
  explicit Ema(const torch::nn::Module& module, const EmaOptions& options = {},
               MasterOf master = {});

  // Call once after each applied optimizer step.
  void update();

  // While it lives the module's parameters (rounded to their own format) and buffers have the
  // averaged values; its destructor puts back what was there before, bit for bit.
  class HALFTONE_API Swap {
   public:
    ~Swap();
    Swap(const Swap&) = delete;
    Swap& operator=(const Swap&) = delete;

   private:
    friend class Ema;
    explicit Swap(Ema& ema);
    Ema& ema_;
    std::vector<at::Tensor> before_;
  };

  // Throws Error while another swap lives; so does update().
  [[nodiscard]] Swap swap_in();

  std::int64_t updates() const { return updates_; }

  // Copies of the averages and of the buffers by the module's names.
  std::vector<std::pair<std::string, at::Tensor>> averages() const;

  // {"updates", "averages": {name: tensor}, "buffers": {name: tensor}}.
  StateDict state_dict() const;
  void load_state_dict(const StateDict& state);

 private:
  struct Entry {
    std::string name;
    at::Tensor live, kept;
    bool averaged;  // a parameter; else a buffer
  };

  EmaOptions options_;
  MasterOf master_;
  std::vector<Entry> entries_;
  std::int64_t updates_ = 0;
  bool swapped_ = false;
};

}  // namespace halftone::optim
