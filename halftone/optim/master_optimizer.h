// The base of Halftone's optimizers: parameters in fp32, fp16 or bf16, one pass that reads the
// gradients and one that does everything else.
#pragma once

#include <torch/optim/optimizer.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/ops/state_dict.h"
#include "halftone/optim/group_options.h"
#include "halftone/scaling/scaled_optimizer.h"

namespace halftone::ops {
struct ParameterUpdate;
}

namespace halftone::optim {

struct Slot;  // what the optimizer keeps for a parameter

// An fp32 parameter is updated in place. A half parameter lives as `storage` says (precision/
// policy.h): with an fp32 master that the optimizer owns, made from the weight; rounded
// stochastically, with bits that depend on seed, parameter index, step and element alone; or with a
// half compensation term. Moments are fp32 always. fp64 parameters and devices other than the CPU
// go through LibTorch's tensor arithmetic. Gradients may have another floating-point format than
// their parameter. A parameter without a gradient is passed over.
//
// Where someone else writes a half parameter (weights loaded, averaged weights swapped in), the
// next step sees it by the tensor's version and takes the elements that differ from the rounded
// master.
//
// Same inputs give the same bits for any thread count. Not thread-safe.
class HALFTONE_API MasterOptimizer : public torch::optim::Optimizer, public ScaledOptimizer {
 public:
  ~MasterOptimizer() override;

  // An ordinary step on unscaled gradients; the closure, as in torch.optim, recomputes the loss and
  // its gradients first, and its value is returned. With clip_norm the gradients are read once
  // more.
  at::Tensor step(LossClosure closure = nullptr) override;

  // The two passes of GradScaler::step().
  GradientCheck check_gradients() override;
  void scaled_step(double inverse_scale, const GradientCheck& check) override;

  // The weight that steps are taken on: the fp32 master of a half parameter, for Kahan storage the
  // sum of both terms, else the parameter itself. Throws Error for a tensor that is not a parameter
  // of this optimizer.
  at::Tensor master(const at::Tensor& parameter) const;

  // Makes all masters anew from the weights and clears the compensation terms.
  void reload_masters();

  // The learning rate of the first group. set_lr() scales all groups by the same factor, so that
  // they keep their ratio (from 0, it sets them all).
  double lr() const;
  void set_lr(double lr);

  // As LibTorch's, for groups made by optim::group() or without options of their own.
  void add_param_group(const torch::optim::OptimizerParamGroup& group);

  // Everything that later steps depend on, but the weights that are not half: hyperparameters,
  // steps, moments, masters, compensation terms. Parameters are counted over all groups.
  StateDict state_dict() const;
  void load_state_dict(const StateDict& state);

  // torch.optim's layout, as Python's optimizer.state_dict() has it: {"state": {0: {"step",
  // "exp_avg", …}}, "param_groups": [{"lr", "betas", …, "params": [0, …]}]}. Moments are fp32
  // whatever the weights' format; masters have no place in it and stay as they are. Keys of
  // param_groups that Halftone doesn't know are passed over, but for an option that would change
  // the result ("maximize": true), which throws Error.
  StateDict torch_state_dict() const;
  void load_torch_state_dict(const c10::IValue& state);  // a dictionary

  // torch::save and torch::load of the optimizer: state_dict() as a pickle.
  void save(torch::serialize::OutputArchive& archive) const override;
  void load(torch::serialize::InputArchive& archive) override;

 protected:
  // name: "AdamW". Throws UsageError for options out of range, groups with another optimizer's
  // options, and parameters that can't be trained as `storage` says.
  MasterOptimizer(const char* name, std::vector<torch::optim::OptimizerParamGroup> groups,
                  std::unique_ptr<GroupOptionsBase> defaults);

  // torch.optim's names of the state tensors that a group needs, at most three, in the order of
  // kernels::ParameterSpan::state.
  virtual std::vector<std::string> state_names(const GroupOptionsBase& options) const = 0;

  // Sets rule and numbers for a step counted from 1. first: the state was just made.
  virtual void prepare(const GroupOptionsBase& options, std::int64_t step, bool first,
                       ops::ParameterUpdate& update) const = 0;

  // Runs the updates; options: of each one's group.
  virtual void apply(std::vector<ops::ParameterUpdate>& updates,
                     const std::vector<const GroupOptionsBase*>& options);

 private:
  const GroupOptionsBase& options(const torch::optim::OptimizerParamGroup& group) const;
  CommonOptions common() const;
  void check_group(std::size_t index) const;
  void match_slots();
  void prepare_storage(Slot& slot, WeightStorage storage, std::size_t group,
                       std::size_t index) const;
  void adopt_foreign_writes(Slot& slot) const;
  std::vector<at::Tensor> gradients() const;
  ops::ParameterUpdate make_update(Slot& slot, std::uint64_t index,
                                   const GroupOptionsBase& group_options) const;
  void update_all(double gradient_scale);
  void assign(std::vector<std::unique_ptr<torch::optim::OptimizerOptions>> options,
              std::vector<Slot> slots);

  const char* name_;
  std::vector<Slot> slots_;  // over the parameters of all groups in order
};

}  // namespace halftone::optim
