#include "halftone/tasks/advise_report.h"

#include <cmath>
#include <cstdio>

#include "halftone/base/text.h"
#include "halftone/base/toml.h"
#include "halftone/report/text_table.h"

namespace halftone::tasks {
namespace {

using numerics::HalfCost;
using numerics::LoweredOperation;
using numerics::OperationCosts;
using numerics::OperationTime;
using numerics::PrecisionAdvice;
using numerics::Speedup;

std::string shown(const char* format, double value) {
  char text[48];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::vector<std::string> parts;
  for (const std::int64_t size : shape) parts.push_back(std::to_string(size));
  return join(parts, "×");
}

// "conv2d 128×64×32×32, 64×64×3×3"; without the operation's name where that is the name itself.
std::string operation_text(const LoweredOperation& operation) {
  if (operation.parameter.empty()) return shape_text(operation.input);
  return operation.operation + " " + shape_text(operation.input) + ", " +
         shape_text(operation.weight);
}

std::string milliseconds(double ms) { return shown(ms < 10 ? "%.2f ms" : "%.1f ms", ms); }
std::string percent(double share) {
  if (!std::isfinite(share)) return "not finite";
  return shown(share < 0.1 ? "%.2g %%" : "%.0f %%", 100 * share);
}

// The preset that an advised policy starts from.
std::string preset_of(const Policy& policy) {
  return format_name(policy.compute) +
         std::string(policy.weights == WeightStorage::half_master ? "-master" : "");
}

std::string preset_reason(const TaskAdvice& advice) {
  const AdviceArm& arm = advice.arm();
  std::string text = advice.reason;
  for (const AdviceArm& each : advice.arms) {
    if (&each == &arm || each.name() == "fp32") continue;
    text += "; " + each.name() + " " + shown("%.4g ms", each.step_ms.median()) +
            ", gradient error " + percent(each.error.gradient);
  }
  return text;
}

std::string name_reason(const TaskAdvice& advice) {
  const auto& [config, machine] = std::tie(advice.config, advice.machine);
  return config.model + " on " + config.task + ", batch " + std::to_string(config.batch) + "; " +
         machine.cpu + ", " + machine.rung + ", " + std::to_string(machine.threads) +
         " threads, LibTorch " + machine.libtorch_version;
}

toml::Value with_comment(toml::Value value, const std::string& comment) {
  value.comment(comment);
  return value;
}

toml::Value write_reasoned_rules(const TaskAdvice& advice, const std::vector<FormatRule>& rules,
                                 const std::vector<std::size_t>& operations) {
  toml::Value::Array array;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const OperationCosts& costs = advice.costs[operations[i]];
    toml::Value& table = array.emplace_back();
    table.set("match",
              with_comment(rules[i].match, operation_text(costs.operation) + ": " +
                                               milliseconds(costs.fp32.ms()) + " a step in fp32"));
    table.set("format", with_comment(format_name(rules[i].format),
                                     advice.arm().advice.operations[operations[i]].reason));
  }
  return array;
}

Json ms_json(const OperationTime& time) {
  Json json;
  json["forward_ms"] = time.forward_ms;
  json["backward_ms"] = time.backward_ms;
  return json;
}

Json to_json(const Speedup& speedup) {
  Json json;
  json["median"] = speedup.median;
  json["low"] = speedup.low;
  json["high"] = speedup.high;
  return json;
}

Json shape_json(const std::vector<std::int64_t>& shape) {
  Json json = Json::array();
  for (const std::int64_t size : shape) json.push_back(size);
  return json;
}

Json operation_json(const OperationCosts& costs, const numerics::OperationAdvice& advice) {
  Json json;
  json["name"] = costs.operation.name();
  json["operation"] = costs.operation.operation;
  json["input"] = shape_json(costs.operation.input);
  json["weight"] = shape_json(costs.operation.weight);
  json["fp32"] = ms_json(costs.fp32);
  json["formats"] = Json::array();
  for (const HalfCost& half : costs.half) {
    Json format;
    format["format"] = format_name(half.format);
    format["forward_ms"] = half.time.forward_ms;
    format["backward_ms"] = half.time.backward_ms;
    format["speedup"] = to_json(half.speedup);
    format["loss_error"] = half.error.loss;
    format["gradient_error"] = half.error.gradient;
    json["formats"].push_back(std::move(format));
  }
  json["advice"] = format_name(advice.format);
  json["reason"] = advice.reason;
  json["in_noise"] = advice.in_noise;
  return json;
}

Json arm_json(const AdviceArm& arm) {
  Json json;
  json["name"] = arm.name();
  json["step_ms"] = arm.step_ms.median();
  json["step_ms_iqr"] = arm.step_ms.iqr();
  json["speedup"] = to_json(arm.speedup);
  json["gradient_error"] = arm.error.gradient;
  json["loss_error"] = arm.error.loss;
  json["predicted_gradient_error"] = arm.advice.error;
  json["loss"] = arm.loss;
  json["finite"] = arm.finite;
  return json;
}

std::string speedup_cell(const HalfCost* half) {
  if (!half) return "–";
  const Speedup& speedup = half->speedup;
  return shown("%.2f×", speedup.median) +
         shown(" ±%.0f %%", 50 * (speedup.high - speedup.low) / speedup.median);
}

std::string snr_cell(const HalfCost* half) {
  if (!half) return "–";
  if (!std::isfinite(half->error.gradient)) return "not finite";
  return half->error.gradient > 0 ? shown("%.0f dB", half->error.gradient_snr_db()) : "exact";
}

const HalfCost* cost_in(const OperationCosts& costs, const std::string& format) {
  for (const HalfCost& half : costs.half) {
    if (format_name(half.format) == format) return &half;
  }
  return nullptr;
}

std::vector<std::string> measured_formats(const TaskAdvice& advice) {
  std::vector<std::string> formats;
  for (const Format format : {Format::bf16, Format::fp16}) {
    for (const OperationCosts& costs : advice.costs) {
      if (!cost_in(costs, format_name(format))) continue;
      formats.emplace_back(format_name(format));
      break;
    }
  }
  return formats;
}

std::string operation_table(const TaskAdvice& advice) {
  const auto formats = measured_formats(advice);
  std::vector<std::string> header{"operation", "shapes", "fp32"};
  for (const std::string& format : formats) {
    header.push_back(format);
    header.push_back("SNR");
  }
  header.push_back("advice");
  report::TextTable table(header);
  for (std::size_t i = 0; i < advice.costs.size(); ++i) {
    const OperationCosts& costs = advice.costs[i];
    std::vector<std::string> row{costs.operation.name(), operation_text(costs.operation),
                                 milliseconds(costs.fp32.ms())};
    for (const std::string& format : formats) {
      const HalfCost* half = cost_in(costs, format);
      row.push_back(speedup_cell(half));
      row.push_back(snr_cell(half));
    }
    row.push_back(format_name(advice.arm().advice.operations[i].format));
    table.add_row(row);
  }
  return table.str();
}

std::string arm_table(const TaskAdvice& advice) {
  report::TextTable table(
      {"policy", "step", "IQR", "against fp32", "gradient error", "predicted", "mean loss"});
  for (const AdviceArm& arm : advice.arms) {
    table.add_row({arm.name() + (arm.finite ? "" : " (not finite)"),
                   milliseconds(arm.step_ms.median()), milliseconds(arm.step_ms.iqr()),
                   shown("%.2f×", arm.speedup.median), percent(arm.error.gradient),
                   percent(arm.advice.error), shown("%.4g", arm.loss)});
  }
  return table.str();
}

}  // namespace

std::string advice_toml(const TaskAdvice& advice) {
  const Policy& policy = advice.config.policy;
  const Policy preset = Policy::preset(preset_of(policy));
  toml::Value document;
  document.set("preset", with_comment(preset_of(policy), preset_reason(advice)));
  document.set("name", with_comment(policy.name, name_reason(advice)));
  if (policy.loss_scale != preset.loss_scale) {
    toml::Value scale;
    if (policy.loss_scale.kind != preset.loss_scale.kind) {
      scale.set("kind", with_comment(loss_scaling_name(policy.loss_scale.kind),
                                     "gradients in fp16 would underflow"));
    }
    if (policy.loss_scale.init != preset.loss_scale.init) {
      scale.set("init", with_comment(policy.loss_scale.init,
                                     "the largest under which the first gradients were finite"));
    }
    document.set("loss_scale", std::move(scale));
  }
  const PrecisionAdvice& chosen = advice.arm().advice;
  if (!policy.modules.empty()) {
    document.set("modules", write_reasoned_rules(advice, policy.modules, chosen.module_rules));
  }
  if (!policy.operations.empty()) {
    document.set("operations",
                 write_reasoned_rules(advice, policy.operations, chosen.operation_rules));
  }
  return toml::write(document);
}

std::string advice_text(const TaskAdvice& advice) {
  std::string text;
  if (!advice.costs.empty()) {
    text +=
        "Operations of a step at their real shapes, forward and backward: time in fp32; how "
        "many times as fast in a half format, ± half the spread of the middle half; the "
        "gradient's signal-to-error ratio where it alone is lowered\n\n" +
        operation_table(advice) + "\n";
  }
  text += "Whole steps, in turns:\n\n" + arm_table(advice) + "\n" + advice.reason + "\n";
  if (const auto rivals = advice.rivals(); !rivals.empty()) {
    text += "As fast within noise, or not worth its complication: " + join(rivals) + "\n";
  }
  for (const std::string& format : advice.hopeless) {
    text += format + " is far slower than fp32 here and was not measured\n";
  }
  if (advice.batch_noise > 0) {
    text += "For comparison: a gradient differs by " + percent(advice.batch_noise) +
            " from batch to batch\n";
  }
  const auto in_noise = advice.in_noise();
  if (!in_noise.empty()) {
    text += "Within noise of fp32's time, or too short to matter, so in the policy's format: " +
            join(in_noise) + "\n";
  }
  if (advice.machine.busy()) {
    text += "Other programs were running: advise again when the machine is quiet\n";
  }
  return text;
}

Json advice_json(const TaskAdvice& advice) {
  Json json;
  json["task"] = advice.config.task;
  json["model"] = advice.config.model;
  json["batch"] = advice.config.batch;
  json["machine"]["cpu"] = advice.machine.cpu;
  json["machine"]["rung"] = advice.machine.rung;
  json["machine"]["threads"] = advice.machine.threads;
  json["machine"]["libtorch"] = advice.machine.libtorch_version;
  json["max_error"] = advice.max_error;
  json["batch_noise"] = advice.batch_noise;
  json["operations"] = Json::array();
  for (std::size_t i = 0; i < advice.costs.size(); ++i) {
    json["operations"].push_back(
        operation_json(advice.costs[i], advice.arm().advice.operations[i]));
  }
  json["policies"] = Json::array();
  for (const AdviceArm& arm : advice.arms) json["policies"].push_back(arm_json(arm));
  json["advised"] = advice.config.policy.name;
  json["reason"] = advice.reason;
  json["policy"] = advice_toml(advice);
  return json;
}

}  // namespace halftone::tasks
