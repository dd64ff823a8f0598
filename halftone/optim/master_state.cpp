// MasterOptimizer's state: its own dictionary, and torch.optim's layout.
#include <torch/serialize.h>

#include "halftone/base/error.h"
#include "halftone/optim/master_optimizer.h"
#include "halftone/optim/slot.h"
#include "halftone/optim/torch_layout.h"

namespace halftone::optim {
namespace {

using Options = std::unique_ptr<torch::optim::OptimizerOptions>;

StateDict slot_state(const Slot& slot, const std::vector<std::string>& names) {
  auto dict = make_state_dict();
  dict.insert("step", slot.step);
  for (std::size_t k = 0; k < names.size(); ++k) {
    if (slot.state[k].defined()) dict.insert(names[k], slot.state[k].clone());
  }
  if (slot.master.defined()) dict.insert("master", slot.master.clone());
  if (slot.compensation.defined()) dict.insert("compensation", slot.compensation.clone());
  return dict;
}

// A copy in the weight's memory order.
at::Tensor adopted(const at::Tensor& given, const at::Tensor& weight, c10::ScalarType type) {
  return like(weight, type).copy_(given);
}

Slot read_slot(const Slot& now, const std::vector<std::string>& names, StateReader reader) {
  Slot slot;
  slot.parameter = now.parameter;
  slot.step = reader.integer("step");
  const at::Tensor weight = now.parameter.detach();
  const auto read = [&](const std::string& key, c10::ScalarType type) {
    return adopted(reader.tensor(key, like(weight, type)), weight, type);
  };
  for (std::size_t k = 0; k < names.size(); ++k) {
    if (reader.has(names[k])) slot.state[k] = read(names[k], wide_format(weight));
  }
  if (reader.has("master")) slot.master = read("master", at::kFloat);
  if (reader.has("compensation")) slot.compensation = read("compensation", weight.scalar_type());
  reader.finish();
  return slot;
}

void require_equal(std::int64_t given, std::int64_t expected, const char* what,
                   const std::string& where) {
  if (given == expected) return;
  throw Error(std::to_string(given) + what, std::to_string(expected), where);
}

}  // namespace

// All at once, after everything was read without an error.
void MasterOptimizer::assign(std::vector<Options> options, std::vector<Slot> slots) {
  for (std::size_t g = 0; g < options.size(); ++g) {
    param_groups_[g].set_options(std::move(options[g]));
  }
  slots_ = std::move(slots);
  match_slots();
}

StateDict MasterOptimizer::state_dict() const {
  const c10::NoGradGuard no_grad;
  auto groups = make_state_dict(), state = make_state_dict();
  std::size_t index = 0;
  for (std::size_t g = 0; g < param_groups_.size(); ++g) {
    const GroupOptionsBase& group = options(param_groups_[g]);
    auto dict = make_state_dict();
    group.write(dict);
    const std::size_t count = param_groups_[g].params().size();
    dict.insert("parameters", static_cast<std::int64_t>(count));
    groups.insert(std::to_string(g), dict);
    for (std::size_t i = 0; i < count; ++i, ++index) {
      state.insert(std::to_string(index), slot_state(slots_[index], state_names(group)));
    }
  }
  auto result = make_state_dict();
  result.insert("optimizer", std::string(name_));
  result.insert("groups", groups);
  result.insert("state", state);
  return result;
}

void MasterOptimizer::load_state_dict(const StateDict& state) {
  const c10::NoGradGuard no_grad;
  const std::string where = name_;
  StateReader top(state, where);
  const std::string kind = top.text("optimizer");
  if (kind != name_) throw Error("the state of " + kind, name_, where);
  const StateDict groups = top.dict("groups"), slots = top.dict("state");
  top.finish();
  require_equal(static_cast<std::int64_t>(groups.size()),
                static_cast<std::int64_t>(param_groups_.size()), " groups", where + ".groups");
  require_equal(static_cast<std::int64_t>(slots.size()), static_cast<std::int64_t>(slots_.size()),
                " parameters", where + ".state");
  StateReader group_reader(groups, where + ".groups"), slot_reader(slots, where + ".state");
  std::vector<Options> new_options;
  std::vector<Slot> new_slots;
  for (std::size_t g = 0; g < param_groups_.size(); ++g) {
    const std::string group_where = where + ".groups." + std::to_string(g);
    const StateDict dict = group_reader.dict(std::to_string(g));
    StateReader reader(dict, group_where);
    new_options.push_back(options(param_groups_[g]).clone());
    auto& group = static_cast<GroupOptionsBase&>(*new_options.back());
    group.read(reader);
    require_equal(reader.integer("parameters"),
                  static_cast<std::int64_t>(param_groups_[g].params().size()), " parameters",
                  group_where);
    reader.finish();
    group.check(group_where);
    for (std::size_t i = 0; i < param_groups_[g].params().size(); ++i) {
      const std::string key = std::to_string(new_slots.size());
      const StateDict slot = slot_reader.dict(key);
      new_slots.push_back(read_slot(slots_[new_slots.size()], state_names(group),
                                    StateReader(slot, where + ".state." + key)));
    }
  }
  assign(std::move(new_options), std::move(new_slots));
}

StateDict MasterOptimizer::torch_state_dict() const {
  const c10::NoGradGuard no_grad;
  c10::impl::GenericDict state(c10::IntType::get(), c10::AnyType::get());
  c10::impl::GenericList groups(c10::AnyType::get());
  std::int64_t index = 0;
  for (const auto& each : param_groups_) {
    const GroupOptionsBase& group = options(each);
    const auto names = state_names(group);
    c10::impl::GenericList indices(c10::AnyType::get());
    for (std::size_t i = 0; i < each.params().size(); ++i, ++index) {
      indices.push_back(index);
      const Slot& slot = slots_[static_cast<std::size_t>(index)];
      if (slot.step > 0) state.insert(index, torch_layout::slot_state(name_, slot, names));
    }
    groups.push_back(torch_layout::group_state(name_, group, indices));
  }
  auto result = make_state_dict();
  result.insert("state", state);
  result.insert("param_groups", groups);
  return result;
}

void MasterOptimizer::load_torch_state_dict(const c10::IValue& given) {
  const c10::NoGradGuard no_grad;
  const torch_layout::State state = torch_layout::read(given, name_);
  require_equal(static_cast<std::int64_t>(state.groups.size()),
                static_cast<std::int64_t>(param_groups_.size()), " groups",
                std::string(name_) + ".param_groups");
  std::vector<Options> new_options;
  std::vector<Slot> new_slots;
  for (std::size_t g = 0; g < param_groups_.size(); ++g) {
    const std::string where = std::string(name_) + ".param_groups[" + std::to_string(g) + "]";
    require_equal(static_cast<std::int64_t>(state.groups[g].parameters.size()),
                  static_cast<std::int64_t>(param_groups_[g].params().size()), " parameters",
                  where);
    new_options.push_back(options(param_groups_[g]).clone());
    auto& group = static_cast<GroupOptionsBase&>(*new_options.back());
    torch_layout::read_group(state.groups[g].options, group, where);
    group.check(where);
    for (const std::int64_t id : state.groups[g].parameters) {
      const Slot& now = slots_[new_slots.size()];
      const auto found = state.slots.find(id);
      new_slots.push_back(torch_layout::read_slot(
          now, state_names(group), found == state.slots.end() ? nullptr : &found->second,
          std::string(name_) + ".state[" + std::to_string(id) + "]"));
    }
  }
  assign(std::move(new_options), std::move(new_slots));
}

void MasterOptimizer::save(torch::serialize::OutputArchive& archive) const {
  const std::vector<char> bytes = torch::pickle_save(state_dict());
  const auto size = static_cast<std::int64_t>(bytes.size());
  archive.write("halftone_state",
                at::from_blob(const_cast<char*>(bytes.data()), {size}, at::kByte).clone());
}

void MasterOptimizer::load(torch::serialize::InputArchive& archive) {
  at::Tensor bytes;
  if (!archive.try_read("halftone_state", bytes)) {
    throw Error("an archive without halftone_state", "one that this optimizer saved", name_);
  }
  const at::Tensor flat = bytes.contiguous();
  const char* data = static_cast<const char*>(flat.const_data_ptr());
  const c10::IValue state = torch::pickle_load(std::vector<char>(data, data + flat.numel()));
  load_state_dict(torch_layout::string_dict(state, name_));
}

}  // namespace halftone::optim
