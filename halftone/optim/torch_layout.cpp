#include "halftone/optim/torch_layout.h"

#include <algorithm>
#include <sstream>

#include "halftone/base/error.h"

namespace halftone::optim::torch_layout {
namespace {

// Keys of our own that torch.optim doesn't know.
const char* const kOwnKeys[] = {"clip_norm", "clip_value", "storage", "seed"};

c10::IValue member(const StateDict& dict, const std::string& key, const std::string& where) {
  const auto found = dict.find(key);
  if (found == dict.end()) throw Error("no such key", "a saved value", where + "." + key);
  return found->value();
}

// A number as Python writes one: float, int or a tensor of one element.
double number(const c10::IValue& value, const std::string& where) {
  if (value.isDouble()) return value.toDouble();
  if (value.isInt()) return static_cast<double>(value.toInt());
  if (value.isTensor() && value.toTensor().numel() == 1) return value.toTensor().item<double>();
  throw Error("a value of type " + value.tagKind(), "a number", where);
}

std::vector<c10::IValue> elements(const c10::IValue& value, const std::string& where) {
  if (value.isTuple()) return value.toTupleRef().elements().vec();
  if (value.isList()) return value.toListRef().vec();
  throw Error("a value of type " + value.tagKind(), "a list", where);
}

bool truth(const c10::IValue& value) {
  return (value.isBool() && value.toBool()) || (value.isInt() && value.toInt() != 0);
}

at::Tensor moment(const c10::IValue& value, const at::Tensor& weight, const std::string& where) {
  if (!value.isTensor()) throw Error("a value of type " + value.tagKind(), "a tensor", where);
  const at::Tensor given = value.toTensor();
  if (given.sizes() != weight.sizes()) {
    std::ostringstream shape, expected;
    shape << "a tensor " << given.sizes();
    expected << weight.sizes();
    throw Error(shape.str(), expected.str(), where);
  }
  return like(weight, wide_format(weight)).copy_(given);
}

}  // namespace

StateDict string_dict(const c10::IValue& value, const std::string& where) {
  if (!value.isGenericDict()) {
    throw Error("a value of type " + value.tagKind(), "a dictionary", where);
  }
  auto result = make_state_dict();
  for (const auto& entry : value.toGenericDict()) {
    if (!entry.key().isString()) {
      throw Error("a key of type " + entry.key().tagKind(), "string keys", where);
    }
    result.insert(entry.key().toStringRef(), entry.value());
  }
  return result;
}

State read(const c10::IValue& value, const std::string& where) {
  const StateDict top = string_dict(value, where);
  State state;
  const std::string groups_where = where + ".param_groups";
  for (const auto& each : elements(member(top, "param_groups", where), groups_where)) {
    Group group;
    group.options = string_dict(each, groups_where);
    const auto ids = member(group.options, "params", groups_where);
    for (const auto& id : elements(ids, groups_where + ".params")) {
      group.parameters.push_back(static_cast<std::int64_t>(number(id, groups_where + ".params")));
    }
    state.groups.push_back(std::move(group));
  }
  const auto slots = member(top, "state", where);
  if (!slots.isGenericDict()) {
    throw Error("a value of type " + slots.tagKind(), "a dictionary", where + ".state");
  }
  for (const auto& entry : slots.toGenericDict()) {
    if (!entry.key().isInt()) {
      throw Error("a key of type " + entry.key().tagKind(), "integers", where + ".state");
    }
    state.slots.emplace(entry.key().toInt(), string_dict(entry.value(), where + ".state"));
  }
  return state;
}

StateDict slot_state(const std::string& optimizer, const Slot& slot,
                     const std::vector<std::string>& names) {
  auto dict = make_state_dict();
  if (optimizer != "SGD") {  // Python's step is an fp32 tensor
    dict.insert("step", at::scalar_tensor(static_cast<double>(slot.step), at::kFloat));
  }
  for (std::size_t k = 0; k < names.size(); ++k) {
    if (slot.state[k].defined()) dict.insert(names[k], slot.state[k].clone());
  }
  return dict;
}

Slot read_slot(const Slot& now, const std::vector<std::string>& names, const StateDict* given,
               const std::string& where) {
  Slot slot = now;
  slot.state = {};
  slot.step = 0;
  if (!given) return slot;
  for (std::size_t k = 0; k < names.size(); ++k) {
    const auto found = given->find(names[k]);
    // SGD's buffer is absent or None before the first step, AMSGrad's where it was off.
    if (found == given->end() || found->value().isNone()) continue;
    slot.state[k] = moment(found->value(), now.parameter.detach(), where + "." + names[k]);
    slot.step = 1;
  }
  if (given->contains("step")) {
    slot.step = static_cast<std::int64_t>(number(given->at("step"), where + ".step"));
  }
  return slot;
}

StateDict group_state(const std::string& optimizer, const GroupOptionsBase& options,
                      const c10::impl::GenericList& parameters) {
  auto dict = make_state_dict();
  options.write(dict);
  for (const char* key : kOwnKeys) (void)dict.erase(key);
  if (dict.contains("betas")) {
    const auto betas = dict.at("betas").toDoubleVector();
    dict.insert_or_assign("betas", c10::ivalue::Tuple::create(betas[0], betas[1]));
    dict.insert("capturable", false);
    if (optimizer != "LAMB") dict.insert("decoupled_weight_decay", optimizer == "AdamW");
  }
  dict.insert("maximize", false);
  dict.insert("foreach", c10::IValue());
  dict.insert("differentiable", false);
  dict.insert("fused", c10::IValue());
  dict.insert("params", parameters);
  return dict;
}

void read_group(const StateDict& given, GroupOptionsBase& options, const std::string& where) {
  for (const char* key : {"maximize", "differentiable"}) {
    if (given.contains(key) && truth(given.at(key))) {
      throw Error("true", "false: Halftone has no such option", where + "." + key);
    }
  }
  auto dict = make_state_dict();
  options.write(dict);
  std::vector<std::string> keys;
  for (const auto& entry : dict) keys.push_back(entry.key());
  for (const std::string& key : keys) {
    const bool own = std::find(std::begin(kOwnKeys), std::end(kOwnKeys), key) != std::end(kOwnKeys);
    if (own || !given.contains(key)) continue;
    const auto value = given.at(key);
    if (key == "betas") {
      c10::List<double> betas;
      for (const auto& each : elements(value, where + ".betas")) {
        betas.push_back(number(each, where + ".betas"));
      }
      dict.insert_or_assign(key, betas);
    } else if (dict.at(key).isBool()) {
      dict.insert_or_assign(key, truth(value));
    } else {
      dict.insert_or_assign(key, number(value, where + "." + key));
    }
  }
  StateReader reader(dict, where);
  options.read(reader);
}

}  // namespace halftone::optim::torch_layout
