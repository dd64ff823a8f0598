#include "halftone/optim/master_optimizer.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <typeinfo>
#include <unordered_map>
#include <unordered_set>

#include "halftone/base/error.h"
#include "halftone/kernels/optimizer/rounding.h"
#include "halftone/ops/optimizer_ops.h"
#include "halftone/optim/clip.h"
#include "halftone/optim/slot.h"
#include "halftone/precision/autocast.h"
#include "halftone/precision/parameter_names.h"

namespace halftone::optim {
namespace {

using torch::optim::OptimizerParamGroup;

std::string parameter_label(const at::Tensor& parameter, std::size_t group, std::size_t index) {
  const std::string name = parameter_name(parameter);
  if (!name.empty()) return name;
  return "group " + std::to_string(group) + ", parameter " + std::to_string(index);
}

void require_trainable(const at::Tensor& parameter, const std::string& where) {
  if (!parameter.defined()) throw UsageError("an undefined tensor", "a parameter", where);
  if (!parameter.is_leaf()) {
    throw UsageError("a tensor that an operation made", "a leaf, as modules hold them", where);
  }
  const auto type = parameter.scalar_type();
  if (type != at::kFloat && type != at::kDouble && !is_half(type)) {
    throw UsageError(c10::toString(type), "fp32, fp16, bf16 or fp64", where);
  }
}

// Before LibTorch's own constructor sees them, whose assertions are not for users.
std::vector<OptimizerParamGroup> checked(std::vector<OptimizerParamGroup> groups) {
  std::size_t count = 0;
  std::unordered_set<const void*> seen;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    for (std::size_t i = 0; i < groups[g].params().size(); ++i, ++count) {
      const at::Tensor& each = groups[g].params()[i];
      const std::string where = parameter_label(each, g, i);
      require_trainable(each, where);
      if (!seen.insert(each.unsafeGetTensorImpl()).second) {
        throw UsageError("the parameter given twice", "each once", where);
      }
    }
  }
  if (count == 0) throw UsageError("no parameters", "at least one", "optimizer");
  return groups;
}

}  // namespace

MasterOptimizer::MasterOptimizer(const char* name, std::vector<OptimizerParamGroup> groups,
                                 std::unique_ptr<GroupOptionsBase> defaults)
    : Optimizer(checked(groups), std::move(defaults)), name_(name) {
  for (std::size_t g = 0; g < groups.size(); ++g) {
    // LibTorch merges options into the defaults, by its own types alone.
    if (groups[g].has_options()) param_groups_[g].set_options(groups[g].options().clone());
    check_group(g);
  }
  match_slots();
}

MasterOptimizer::~MasterOptimizer() = default;

const GroupOptionsBase& MasterOptimizer::options(const OptimizerParamGroup& group) const {
  return static_cast<const GroupOptionsBase&>(group.options());
}

CommonOptions MasterOptimizer::common() const { return options(param_groups_[0]).common(); }

void MasterOptimizer::check_group(std::size_t index) const {
  const std::string where = std::string(name_) + ", group " + std::to_string(index);
  const auto& group = param_groups_[index];
  const torch::optim::OptimizerOptions& given = group.options();
  const torch::optim::OptimizerOptions& ours = defaults();
  if (typeid(given) != typeid(ours)) {
    throw UsageError("another optimizer's options", std::string(name_) + "Options", where);
  }
  options(group).check(where);
  const CommonOptions o = options(group).common(), first = common();
  if (o.clip_norm != first.clip_norm || o.storage != first.storage || o.seed != first.seed) {
    throw UsageError("clip_norm, storage or seed of its own", "those of group 0", where);
  }
}

void MasterOptimizer::add_param_group(const OptimizerParamGroup& group) {
  auto all = param_groups_;
  all.push_back(group);
  checked(all);
  Optimizer::add_param_group(group);
  if (group.has_options()) param_groups_.back().set_options(group.options().clone());
  try {
    check_group(param_groups_.size() - 1);
    match_slots();
  } catch (...) {
    param_groups_.pop_back();
    throw;
  }
}

// Groups may have grown, weights may have changed their format or device since the last call.
void MasterOptimizer::match_slots() {
  std::unordered_map<const void*, Slot*> known;
  std::size_t index = 0;
  bool same = true;
  for (const auto& group : param_groups_) {
    for (const at::Tensor& each : group.params()) {
      same = same && index < slots_.size() && slots_[index].parameter.is_same(each);
      ++index;
    }
  }
  if (!same || index != slots_.size()) {
    for (Slot& slot : slots_) known[slot.parameter.unsafeGetTensorImpl()] = &slot;
    std::vector<Slot> matched;
    for (const auto& group : param_groups_) {
      for (const at::Tensor& each : group.params()) {
        const auto found = known.find(each.unsafeGetTensorImpl());
        matched.push_back(found == known.end() ? Slot{} : *found->second);
        matched.back().parameter = each;
      }
    }
    slots_ = std::move(matched);
  }
  index = 0;
  for (std::size_t g = 0; g < param_groups_.size(); ++g) {
    for (std::size_t i = 0; i < param_groups_[g].params().size(); ++i, ++index) {
      prepare_storage(slots_[index], common().storage, g, i);
    }
  }
}

void MasterOptimizer::prepare_storage(Slot& slot, WeightStorage storage, std::size_t group,
                                      std::size_t index) const {
  const at::Tensor weight = slot.parameter.detach();
  const bool half = is_half(weight.scalar_type());
  if (half && storage == WeightStorage::fp32) {
    throw UsageError(std::string("a weight of ") + c10::toString(weight.scalar_type()),
                     "fp32 weights with storage fp32",
                     parameter_label(slot.parameter, group, index));
  }
  const bool needs_master = half && storage == WeightStorage::half_master;
  const bool needs_term = half && storage == WeightStorage::half_kahan;
  if (!needs_master) slot.master.reset();
  if (!needs_term) slot.compensation.reset();
  if (needs_master && !slot.master.defined()) slot.master = like(weight, at::kFloat).copy_(weight);
  if (needs_term && !slot.compensation.defined()) {
    slot.compensation = like(weight, weight.scalar_type()).zero_();
  }
  for (at::Tensor* each : slot.tensors()) {
    if (each->defined() && each->device() != weight.device()) *each = each->to(weight.device());
  }
  if (slot.version < 0) slot.version = version_of(slot.parameter);
}

// The elements where the master no longer rounds to the weight were written by someone else.
void MasterOptimizer::adopt_foreign_writes(Slot& slot) const {
  if (slot.version == version_of(slot.parameter)) return;
  const at::Tensor weight = slot.parameter.detach();
  if (slot.master.defined()) {
    const auto kept = slot.master.to(weight.scalar_type()) == weight;
    slot.master.copy_(at::where(kept, slot.master, weight.to(at::kFloat)));
  }
  if (slot.compensation.defined()) {
    const auto kept = kahan_sum(weight, slot.compensation).to(weight.scalar_type()) == weight;
    slot.compensation.mul_(kept);
  }
  slot.version = version_of(slot.parameter);
}

std::vector<at::Tensor> MasterOptimizer::gradients() const {
  std::vector<at::Tensor> list;
  for (const auto& group : param_groups_) {
    for (const at::Tensor& each : group.params()) list.push_back(each.grad());
  }
  return list;
}

GradientCheck MasterOptimizer::check_gradients() {
  const auto reading = ops::read_gradients(gradients());
  return {reading.tensors, reading.first_non_finite, reading.norm};
}

void MasterOptimizer::scaled_step(double inverse_scale, const GradientCheck& check) {
  const auto clip_norm = common().clip_norm;
  const double norm = check.norm * inverse_scale;
  update_all(inverse_scale * (clip_norm ? clip_factor(norm, *clip_norm) : 1));
}

at::Tensor MasterOptimizer::step(LossClosure closure) {
  at::Tensor loss;
  if (closure) {
    const c10::AutoGradMode with_gradients(true);
    loss = closure();
  }
  scaled_step(1, common().clip_norm ? check_gradients() : GradientCheck{});
  return loss;
}

ops::ParameterUpdate MasterOptimizer::make_update(Slot& slot, std::uint64_t index,
                                                  const GroupOptionsBase& group_options) const {
  adopt_foreign_writes(slot);
  ops::ParameterUpdate update;
  const std::size_t states = state_names(group_options).size();
  bool first = slot.step == 0;
  for (std::size_t k = 0; k < states; ++k) {
    if (!slot.state[k].defined()) {
      slot.state[k] = like(slot.parameter, wide_format(slot.parameter)).zero_();
      first |= k == 0;
    }
    update.state[k] = slot.state[k];
  }
  prepare(group_options, slot.step + 1, first, update);
  const CommonOptions o = group_options.common();
  if (o.clip_value) update.numbers.clip_value = *o.clip_value;
  update.weight = slot.parameter;
  update.gradient = slot.parameter.grad();
  update.master = slot.master;
  update.compensation = slot.compensation;
  update.kind = slot.kind();
  update.key = kernels::draw_key(o.seed, index, static_cast<std::uint64_t>(slot.step + 1));
  return update;
}

void MasterOptimizer::update_all(double gradient_scale) {
  const c10::NoGradGuard no_grad;
  match_slots();
  std::vector<ops::ParameterUpdate> updates;
  std::vector<const GroupOptionsBase*> group_of;
  std::vector<Slot*> stepped;
  std::size_t index = 0;
  for (const auto& group : param_groups_) {
    for (std::size_t i = 0; i < group.params().size(); ++i, ++index) {
      Slot& slot = slots_[index];
      if (!slot.parameter.grad().defined()) continue;
      updates.push_back(make_update(slot, index, options(group)));
      updates.back().numbers.gradient_scale = gradient_scale;
      group_of.push_back(&options(group));
      stepped.push_back(&slot);
    }
  }
  apply(updates, group_of);
  for (Slot* slot : stepped) {
    ++slot->step;
    slot->version = version_of(slot->parameter);
  }
  clear_autocast_cache();  // it holds casts of the weights as they were
}

void MasterOptimizer::apply(std::vector<ops::ParameterUpdate>& updates,
                            const std::vector<const GroupOptionsBase*>&) {
  ops::update_parameters(updates);
}

at::Tensor MasterOptimizer::master(const at::Tensor& parameter) const {
  for (const Slot& slot : slots_) {
    if (!slot.parameter.is_same(parameter)) continue;
    if (slot.master.defined()) return slot.master;
    if (slot.compensation.defined()) return kahan_sum(parameter.detach(), slot.compensation);
    return parameter;
  }
  throw Error("a tensor that is none of the optimizer's parameters", "one of them",
              std::string(name_) + "::master");
}

void MasterOptimizer::reload_masters() {
  const c10::NoGradGuard no_grad;
  for (Slot& slot : slots_) {
    if (slot.master.defined()) slot.master.copy_(slot.parameter.detach());
    if (slot.compensation.defined()) slot.compensation.zero_();
    slot.version = version_of(slot.parameter);
  }
}

double MasterOptimizer::lr() const { return options(param_groups_[0]).get_lr(); }

void MasterOptimizer::set_lr(double lr) {
  const double before = this->lr();
  for (auto& group : param_groups_) {
    group.options().set_lr(before == 0 ? lr : group.options().get_lr() / before * lr);
  }
}

}  // namespace halftone::optim
