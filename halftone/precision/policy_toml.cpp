// Policy from TOML.
#include <array>

#include "halftone/base/error.h"
#include "halftone/base/file.h"
#include "halftone/base/text.h"
#include "halftone/base/toml.h"
#include "halftone/precision/policy.h"
#include "halftone/precision/policy_check.h"
#include "halftone/precision/policy_fields.h"

namespace halftone {
namespace {

using namespace policy_fields;

constexpr std::array kEmulationScalings{EmulationScaling::current, EmulationScaling::delayed,
                                        EmulationScaling::block};
constexpr std::array kStorages{WeightStorage::fp32, WeightStorage::half_master,
                               WeightStorage::half_stochastic, WeightStorage::half_kahan};
constexpr std::array kScalings{LossScaling::none, LossScaling::fixed, LossScaling::dynamic};

template <class Fields>
void add_keys(const Fields& fields, std::vector<std::string>& keys) {
  for (const auto& field : fields) keys.emplace_back(field.key);
}

std::vector<std::string> policy_keys() {
  std::vector<std::string> keys{"preset",     "name",      "weights", "loss_scale", "modules",
                                "operations", "emulation", "dynamic", "calibrate"};
  add_keys(kFormats, keys);
  return keys;
}

std::vector<std::string> emulation_keys() {
  std::vector<std::string> keys{"scaling", "history"};
  add_keys(kEmulatedFormats, keys);
  add_keys(kEmulationSwitches, keys);
  return keys;
}

std::vector<std::string> dynamic_keys() {
  std::vector<std::string> keys{"scale_floor", "layer_scales"};
  add_keys(kDynamicCounts, keys);
  return keys;
}

std::vector<std::string> calibration_keys() {
  std::vector<std::string> keys{"reference"};
  add_keys(kCalibrationCounts, keys);
  add_keys(kCalibrationNumbers, keys);
  return keys;
}

std::vector<std::string> scale_keys() {
  std::vector<std::string> keys{"kind"};
  add_keys(kScaleNumbers, keys);
  add_keys(kScaleCounts, keys);
  return keys;
}

Format read_format(const toml::Value& value) {
  return parse_format(value.as_string(), value.where());
}

// The enumerator that name_of() calls what `value` says.
template <class Enums, class NameOf>
auto read_enum(const toml::Value& value, const Enums& all, NameOf name_of) {
  std::vector<std::string> names;
  for (auto each : all) {
    if (value.as_string() == name_of(each)) return each;
    names.emplace_back(name_of(each));
  }
  value.refuse(choices(value.as_string(), names));
}

Policy read_preset(const toml::Value& value) {
  const std::string& name = value.as_string();
  for (const std::string& known : Policy::preset_names()) {
    if (name == known) return Policy::preset(name);
  }
  throw UsageError("unknown preset " + quote(name), choices(name, Policy::preset_names()),
                   value.where());
}

LossScalePolicy read_loss_scale(const toml::Value& table, LossScalePolicy scale) {
  table.check_keys(scale_keys());
  if (const auto* kind = table.find("kind")) {
    scale.kind = read_enum(*kind, kScalings, loss_scaling_name);
  }
  for (const auto& field : kScaleNumbers) {
    if (const auto* value = table.find(field.key)) scale.*field.member = value->as_number();
  }
  for (const auto& field : kScaleCounts) {
    if (const auto* value = table.find(field.key)) scale.*field.member = value->as_integer();
  }
  return scale;
}

EmulationPolicy read_emulation(const toml::Value& table, EmulationPolicy emulation) {
  table.check_keys(emulation_keys());
  for (const auto& field : kEmulatedFormats) {
    if (const auto* value = table.find(field.key)) emulation.*field.member = value->as_string();
  }
  if (const auto* scaling = table.find("scaling")) {
    emulation.scaling = read_enum(*scaling, kEmulationScalings, emulation_scaling_name);
  }
  if (const auto* history = table.find("history")) emulation.history = history->as_integer();
  for (const auto& field : kEmulationSwitches) {
    if (const auto* value = table.find(field.key)) emulation.*field.member = value->as_boolean();
  }
  return emulation;
}

DynamicPolicy read_dynamic(const toml::Value& table, DynamicPolicy dynamic) {
  table.check_keys(dynamic_keys());
  for (const auto& field : kDynamicCounts) {
    if (const auto* value = table.find(field.key)) dynamic.*field.member = value->as_integer();
  }
  if (const auto* floor = table.find("scale_floor")) dynamic.scale_floor = floor->as_number();
  if (const auto* layers = table.find("layer_scales")) dynamic.layer_scales = layers->as_boolean();
  return dynamic;
}

CalibrationPolicy read_calibration(const toml::Value& table, CalibrationPolicy calibration) {
  table.check_keys(calibration_keys());
  for (const auto& field : kCalibrationCounts) {
    if (const auto* value = table.find(field.key)) calibration.*field.member = value->as_integer();
  }
  for (const auto& field : kCalibrationNumbers) {
    if (const auto* value = table.find(field.key)) calibration.*field.member = value->as_number();
  }
  if (const auto* reference = table.find("reference")) {
    calibration.reference = read_format(*reference);
  }
  return calibration;
}

std::vector<FormatRule> read_rules(const toml::Value& array) {
  std::vector<FormatRule> rules;
  for (const toml::Value& rule : array.as_array()) {
    rule.as_table();
    rule.check_keys({"match", "format"});
    rules.push_back({rule.at("match").as_string(), read_format(rule.at("format"))});
  }
  return rules;
}

Policy read_policy(const toml::Value& document) {
  document.check_keys(policy_keys());
  Policy policy;
  policy.name = "custom";
  if (const auto* preset = document.find("preset")) policy = read_preset(*preset);
  if (const auto* name = document.find("name")) policy.name = name->as_string();
  for (const auto& field : kFormats) {
    if (const auto* value = document.find(field.key)) policy.*field.member = read_format(*value);
  }
  if (const auto* weights = document.find("weights")) {
    policy.weights = read_enum(*weights, kStorages, weight_storage_name);
  }
  if (!document.find("gradients")) policy.gradients = gradient_format(policy);
  if (const auto* scale = document.find("loss_scale")) {
    policy.loss_scale = read_loss_scale(*scale, policy.loss_scale);
  }
  if (const auto* emulation = document.find("emulation")) {
    policy.emulation = read_emulation(*emulation, policy.emulation);
  }
  if (const auto* dynamic = document.find("dynamic")) {
    policy.dynamic = read_dynamic(*dynamic, policy.dynamic);
  }
  if (const auto* calibrate = document.find("calibrate")) {
    policy.calibrate = read_calibration(*calibrate, policy.calibrate.value_or(CalibrationPolicy{}));
  }
  if (const auto* rules = document.find("modules")) policy.modules = read_rules(*rules);
  if (const auto* rules = document.find("operations")) policy.operations = read_rules(*rules);
  return policy;
}

const toml::Value* find_path(const toml::Value& value, const std::string& path) {
  if (value.path() == path) return &value;
  if (value.is_table()) {
    for (const auto& [key, each] : value.as_table()) {
      if (const auto* found = find_path(each, path)) return found;
    }
  } else if (value.is_array()) {
    for (const toml::Value& each : value.as_array()) {
      if (const auto* found = find_path(each, path)) return found;
    }
  }
  return nullptr;
}

// The line of the key, or of one that it contradicts where its own value is a preset's.
std::string locate(const toml::Value& document, const std::string& key, const std::string& where) {
  for (const std::string& each :
       {key, std::string("loss_scale.max"), std::string("loss_scale.min"), std::string("compute"),
        std::string("weights"), std::string("preset")}) {
    const bool scale = each.starts_with("loss_scale.");
    if (scale != key.starts_with("loss_scale.")) continue;
    if (const auto* found = find_path(document, each)) return found->where();
  }
  return where;
}

}  // namespace

Policy Policy::from_toml(const std::string& text, const std::string& where) {
  const toml::Value document = toml::parse(text, where);
  Policy policy = read_policy(document);
  if (const auto problem = find_problem(policy)) {
    throw UsageError(problem->key + " = " + problem->given, problem->expected,
                     locate(document, problem->key, where));
  }
  return policy;
}

Policy Policy::load(const std::string& path) { return from_toml(read_file(path), path); }

}  // namespace halftone
