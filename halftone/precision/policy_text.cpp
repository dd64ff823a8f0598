// Policy as TOML, and the names of its enumerators.
#include "halftone/base/toml.h"
#include "halftone/precision/policy.h"
#include "halftone/precision/policy_fields.h"

namespace halftone {
namespace {

using namespace policy_fields;

toml::Value write_rules(const std::vector<FormatRule>& rules) {
  toml::Value::Array array;
  for (const FormatRule& rule : rules) {
    toml::Value& table = array.emplace_back();
    table.set("match", rule.match);
    table.set("format", format_name(rule.format));
  }
  return array;
}

// Without loss scaling its numbers say nothing: only those that are not the defaults stand there.
toml::Value write_loss_scale(const LossScalePolicy& scale) {
  const LossScalePolicy defaults;
  const bool all = scale.kind != LossScaling::none;
  toml::Value table;
  table.set("kind", loss_scaling_name(scale.kind)).comment("none, static or dynamic");
  const auto write_fields = [&](const auto& fields) {
    for (const auto& field : fields) {
      if (!all && scale.*field.member == defaults.*field.member) continue;
      table.set(field.key, scale.*field.member).comment(field.comment);
    }
  };
  write_fields(kScaleNumbers);
  write_fields(kScaleCounts);
  return table;
}

toml::Value write_emulation(const EmulationPolicy& emulation) {
  toml::Value table;
  for (const auto& field : kEmulatedFormats) {
    table.set(field.key, emulation.*field.member).comment(field.comment);
  }
  table.set("scaling", emulation_scaling_name(emulation.scaling))
      .comment("current, delayed or block");
  table.set("history", emulation.history).comment("delayed: uses that are looked back upon");
  for (const auto& field : kEmulationSwitches) {
    table.set(field.key, emulation.*field.member).comment(field.comment);
  }
  return table;
}

toml::Value write_dynamic(const DynamicPolicy& dynamic) {
  toml::Value table;
  for (const auto& field : kDynamicCounts) {
    table.set(field.key, dynamic.*field.member).comment(field.comment);
  }
  table.set("scale_floor", dynamic.scale_floor)
      .comment("gradients that overflow at a loss scale above it are the scale's");
  table.set("layer_scales", dynamic.layer_scales)
      .comment("a power of two for each operation's gradient, in place of a loss scale");
  return table;
}

toml::Value write_calibration(const CalibrationPolicy& calibration) {
  toml::Value table;
  for (const auto& field : kCalibrationCounts) {
    table.set(field.key, calibration.*field.member).comment(field.comment);
  }
  table.set("reference", format_name(calibration.reference)).comment("fp32 or fp64");
  for (const auto& field : kCalibrationNumbers) {
    table.set(field.key, calibration.*field.member).comment(field.comment);
  }
  return table;
}

}  // namespace

const char* weight_storage_name(WeightStorage storage) {
  switch (storage) {
    case WeightStorage::fp32:
      return "fp32";
    case WeightStorage::half_master:
      return "half-master";
    case WeightStorage::half_stochastic:
      return "half-stochastic";
    case WeightStorage::half_kahan:
      return "half-kahan";
  }
  return "?";
}

const char* loss_scaling_name(LossScaling kind) {
  switch (kind) {
    case LossScaling::none:
      return "none";
    case LossScaling::fixed:
      return "static";
    case LossScaling::dynamic:
      return "dynamic";
  }
  return "?";
}

const char* emulation_scaling_name(EmulationScaling scaling) {
  switch (scaling) {
    case EmulationScaling::current:
      return "current";
    case EmulationScaling::delayed:
      return "delayed";
    case EmulationScaling::block:
      return "block";
  }
  return "?";
}

std::string Policy::to_toml() const {
  toml::Value document;
  document.set("name", name);
  document.set("weights", weight_storage_name(weights))
      .comment("fp32, half-master, half-stochastic or half-kahan");
  for (const auto& field : kFormats) {
    document.set(field.key, format_name(this->*field.member)).comment(field.comment);
  }
  document.set("loss_scale", write_loss_scale(loss_scale));
  if (emulation != EmulationPolicy{}) document.set("emulation", write_emulation(emulation));
  if (dynamic != DynamicPolicy{}) document.set("dynamic", write_dynamic(dynamic));
  if (calibrate) document.set("calibrate", write_calibration(*calibrate));
  if (!modules.empty()) document.set("modules", write_rules(modules));
  if (!operations.empty()) document.set("operations", write_rules(operations));
  return toml::write(document);
}

}  // namespace halftone
