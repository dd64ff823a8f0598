#include "halftone/precision/policy.h"

#include <algorithm>
#include <cmath>

#include "halftone/base/error.h"
#include "halftone/base/text.h"
#include "halftone/precision/cast_table.h"
#include "halftone/precision/policy_check.h"
#include "halftone/precision/quantize.h"

namespace halftone {
namespace {

PolicyProblem number_problem(const char* key, double value, const char* expected) {
  return {std::string("loss_scale.") + key, format_number(value), expected};
}

// Written so that NaN fails every comparison.
std::optional<PolicyProblem> loss_scale_problem(const LossScalePolicy& p) {
  constexpr double kFp32Max = 0x1p127;  // the largest power of two that fp32 holds
  const char* const scale = "a positive number up to 2^127";
  const auto is_scale = [](double value) { return value > 0 && value <= kFp32Max; };
  if (!is_scale(p.min)) return number_problem("min", p.min, scale);
  if (!is_scale(p.max)) return number_problem("max", p.max, scale);
  if (!(p.max >= p.min)) return number_problem("max", p.max, "at least loss_scale.min");
  if (!is_scale(p.init)) return number_problem("init", p.init, scale);
  if (!(p.init >= p.min && p.init <= p.max)) {
    return number_problem("init", p.init, "between loss_scale.min and loss_scale.max");
  }
  if (!(p.growth_factor >= 1 && p.growth_factor <= kFp32Max)) {
    return number_problem("growth_factor", p.growth_factor, "a number from 1 to 2^127");
  }
  if (!(p.backoff_factor > 0 && p.backoff_factor <= 1)) {
    return number_problem("backoff_factor", p.backoff_factor, "a number above 0, at most 1");
  }
  const auto count = [](std::int64_t value) { return static_cast<double>(value); };
  if (p.growth_interval < 1) {
    return number_problem("growth_interval", count(p.growth_interval), "a whole number from 1");
  }
  if (p.hysteresis < 1) {
    return number_problem("hysteresis", count(p.hysteresis), "a whole number from 1");
  }
  return std::nullopt;
}

std::optional<PolicyProblem> rule_problem(const std::vector<FormatRule>& rules, const char* key) {
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const std::string path = std::string(key) + "[" + std::to_string(i) + "]";
    if (rules[i].match.empty()) return PolicyProblem{path + ".match", "\"\"", "a glob"};
    if (rules[i].format == Format::fp64) {
      return PolicyProblem{path + ".format", "\"fp64\"", "fp32, fp16 or bf16"};
    }
  }
  return std::nullopt;
}

std::optional<PolicyProblem> emulation_problem(const EmulationPolicy& p) {
  for (const auto& [key, name] :
       {std::pair{"weights", &p.weights}, std::pair{"activations", &p.activations},
        std::pair{"gradients", &p.gradients}}) {
    if (*name == "none" || is_number_format(*name)) continue;
    std::vector<std::string> names = number_format_names();
    names.insert(names.begin(), "none");
    return PolicyProblem{std::string("emulation.") + key, quote(*name), choices(*name, names)};
  }
  constexpr std::int64_t kLongest = 65536;
  if (p.history < 1 || p.history > kLongest) {
    return PolicyProblem{"emulation.history", std::to_string(p.history),
                         "a whole number from 1 to " + std::to_string(kLongest)};
  }
  return std::nullopt;
}

std::optional<PolicyProblem> dynamic_problem(const Policy& policy) {
  const DynamicPolicy& p = policy.dynamic;
  constexpr std::int64_t kMost = 1'000'000'000;  // doubled often, it still fits
  struct Count {
    const char* key;
    std::int64_t value, least;
  };
  for (const auto& [key, value, least] :
       {Count{"overflows", p.overflows, 0}, {"within", p.within, 1}, {"retry", p.retry, 1}}) {
    if (value >= least && value <= kMost) continue;
    return PolicyProblem{std::string("dynamic.") + key, std::to_string(value),
                         "a whole number from " + std::to_string(least) + " to 1e9"};
  }
  if (!(p.scale_floor > 0 && p.scale_floor <= 0x1p127)) {
    return PolicyProblem{"dynamic.scale_floor", format_number(p.scale_floor),
                         "a positive number up to 2^127"};
  }
  if (!p.layer_scales) return std::nullopt;
  const auto problem = [](const std::string& given, const char* expected) {
    return PolicyProblem{"dynamic.layer_scales", "true with " + given, expected};
  };
  if (policy.compute != Format::fp16) {
    return problem(std::string("compute ") + format_name(policy.compute), "compute fp16");
  }
  if (policy.weights != WeightStorage::fp32) {
    return problem(std::string("weights ") + quote(weight_storage_name(policy.weights)),
                   "weights \"fp32\", whose gradients hold what is divided out");
  }
  if (policy.loss_scale.kind != LossScaling::none) {
    return problem("a loss scale", "loss_scale.kind \"none\", since each layer has its own");
  }
  if (p.overflows > 0) {
    return problem("dynamic.overflows", "one of the two");
  }
  if (policy.emulation.active()) return problem("emulated formats", "none");
  return std::nullopt;
}

std::optional<PolicyProblem> calibration_problem(const Policy& policy) {
  if (!policy.calibrate) return std::nullopt;
  const CalibrationPolicy& p = *policy.calibrate;
  const auto problem = [](const char* key, const std::string& given, const char* expected) {
    return PolicyProblem{std::string("calibrate.") + key, given, expected};
  };
  constexpr std::int64_t kMost = 1'000'000'000;  // doubled often, it still fits
  for (const auto& [key, value] : {std::pair{"every", p.every}, std::pair{"batches", p.batches},
                                   std::pair{"patience", p.patience}}) {
    if (value >= 1 && value <= kMost) continue;
    return problem(key, std::to_string(value), "a whole number from 1 to 1e9");
  }
  for (const auto& [key, value] :
       {std::pair{"loss_bound", p.loss_bound}, std::pair{"metric_bound", p.metric_bound}}) {
    if (value >= 0 && std::isfinite(value)) continue;
    return problem(key, format_number(value), "a number above 0, or 0: not looked at");
  }
  if (p.loss_bound == 0 && p.metric_bound == 0) {
    return problem("loss_bound", "0 beside metric_bound 0", "a bound above 0 for one of them");
  }
  if (!(p.release > 0 && p.release <= 1)) {
    return problem("release", format_number(p.release), "a number above 0, at most 1");
  }
  if (p.reference != Format::fp32 && p.reference != Format::fp64) {
    return problem("reference", quote(format_name(p.reference)), "fp32 or fp64");
  }
  if (!is_half(policy.compute) && !policy.emulation.active()) {
    return problem("every", std::to_string(p.every) + " with compute fp32 and nothing emulated",
                   "compute fp16 or bf16, or [emulation]");
  }
  return std::nullopt;
}

// A rule that matches nothing would leave the operation in a format that nobody asked for.
std::optional<PolicyProblem> operation_problem(const std::vector<FormatRule>& rules) {
  const auto& table = cast_table();
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const std::string& glob = rules[i].match;
    if (std::any_of(table.begin(), table.end(),
                    [&](const CastRow& row) { return names_row(glob, row); })) {
      continue;
    }
    std::vector<std::string> names;
    for (const CastRow& row : table) names.push_back(operation_name(row));
    const std::string nearest = nearest_name(glob, names);
    return PolicyProblem{"operations[" + std::to_string(i) + "].match", quote(glob),
                         "an operation of the cast table" +
                             (nearest.empty() ? "" : " (did you mean " + quote(nearest) + "?)")};
  }
  return std::nullopt;
}

// One field must have one of two formats (twice the same where only one will do).
std::optional<PolicyProblem> format_problem(const char* key, Format given, Format one, Format other,
                                            const char* why) {
  if (given == one || given == other) return std::nullopt;
  std::string expected = format_name(one);
  if (other != one) expected += std::string(" or ") + format_name(other);
  return PolicyProblem{key, std::string("\"") + format_name(given) + "\"", expected + why};
}

}  // namespace

Format gradient_format(const Policy& policy) {
  return policy.weights == WeightStorage::fp32 ? Format::fp32 : policy.compute;
}

bool names_row(std::string_view glob, const CastRow& row) {
  return glob_match(glob, operation_name(row)) || glob_match(glob, row.operation);
}

bool covers(std::string_view glob, std::string_view name) {
  while (!glob_match(glob, name)) {
    const auto dot = name.rfind('.');
    if (dot == std::string_view::npos) return false;
    name = name.substr(0, dot);
  }
  return true;
}

std::optional<PolicyProblem> find_problem(const Policy& policy) {
  const bool half_weights = policy.weights != WeightStorage::fp32;
  if (policy.compute == Format::fp64) {
    return PolicyProblem{"compute", "\"fp64\"", "fp32, fp16 or bf16"};
  }
  if (half_weights && !is_half(policy.compute)) {
    return PolicyProblem{
        "weights", std::string("\"") + weight_storage_name(policy.weights) + "\" with compute fp32",
        "weights \"fp32\", or compute fp16 or bf16"};
  }
  if (policy.evaluation != policy.compute && policy.evaluation != Format::fp64) {
    if (auto problem = format_problem("evaluation", policy.evaluation, Format::fp32, Format::fp64,
                                      " or the compute format")) {
      return problem;
    }
  }
  const Format gradients = gradient_format(policy);
  if (auto problem = format_problem("gradients", policy.gradients, gradients, gradients,
                                    ", the format of the weights: no other is supported yet")) {
    return problem;
  }
  if (auto problem = format_problem("reduction", policy.reduction, Format::fp32, Format::fp32,
                                    ": no other is supported yet")) {
    return problem;
  }
  if (auto problem = format_problem("init", policy.init, Format::fp32, Format::fp64, "")) {
    return problem;
  }
  if (policy.save == Format::fp64) {
    return PolicyProblem{"save", "\"fp64\"", "fp32, fp16 or bf16"};
  }
  if (auto problem = loss_scale_problem(policy.loss_scale)) return problem;
  if (auto problem = emulation_problem(policy.emulation)) return problem;
  if (auto problem = dynamic_problem(policy)) return problem;
  if (auto problem = calibration_problem(policy)) return problem;
  if (auto problem = rule_problem(policy.modules, "modules")) return problem;
  if (auto problem = rule_problem(policy.operations, "operations")) return problem;
  return operation_problem(policy.operations);
}

void Policy::check() const {
  if (const auto problem = find_problem(*this)) {
    throw UsageError(problem->key + " = " + problem->given, problem->expected,
                     "policy " + quote(name));
  }
}

bool EmulationPolicy::active() const {
  return weights != "none" || activations != "none" || gradients != "none";
}

Policy Policy::for_evaluation() const {
  Policy result = *this;
  result.compute = evaluation;
  result.calibrate.reset();
  if (evaluation != compute) result.emulation = {}, result.dynamic = {};
  return result;
}

std::optional<Format> Policy::module_format(std::string_view name) const {
  for (auto rule = modules.rbegin(); rule != modules.rend(); ++rule) {
    if (covers(rule->match, name)) return rule->format;
  }
  return std::nullopt;
}

std::optional<Format> Policy::operation_format(std::string_view name) const {
  for (auto rule = operations.rbegin(); rule != operations.rend(); ++rule) {
    if (glob_match(rule->match, name)) return rule->format;
  }
  return std::nullopt;
}

}  // namespace halftone
