#include "halftone/numerics/precision_advice.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <optional>

#include "halftone/numerics/format_speed.h"

namespace halftone::numerics {
namespace {

// Of fp32's step: what an operation saves or loses below this is not worth an exception.
constexpr double kNegligible = 0.002;
constexpr double kShortest = 1e-3;  // ms; of a step
constexpr double kExact = 1e-9;     // a relative error of nothing but fp32's own rounding

enum class Speed { faster, same, slower };

Speed speed_of(const OperationCosts& costs, const HalfCost& half, double step_ms) {
  if (std::abs(costs.fp32.ms() - half.time.ms()) < kNegligible * step_ms) return Speed::same;
  if (half.speedup.faster(kWorthwhile)) return Speed::faster;
  return half.speedup.slower(kWorthwhile) ? Speed::slower : Speed::same;
}

const HalfCost* find_half(const OperationCosts& costs, Format format) {
  for (const HalfCost& half : costs.half) {
    if (half.format == format) return &half;
  }
  return nullptr;
}

double ms_of(const OperationCosts& costs, Format format) {
  const HalfCost* half = find_half(costs, format);
  return half ? half->time.ms() : costs.fp32.ms();
}

double squared_error(const OperationCosts& costs, Format format) {
  const HalfCost* half = find_half(costs, format);
  return half ? std::pow(half->error.gradient * half->shared, 2) : 0;
}

// The formats of all operations, and what they come to.
struct Choice {
  std::vector<Format> formats;
  std::vector<bool> raised;  // for the error, not for its time

  bool uses(Format format) const {
    return std::find(formats.begin(), formats.end(), format) != formats.end();
  }
  double ms(const std::vector<OperationCosts>& costs) const {
    double sum = 0;
    for (std::size_t i = 0; i < costs.size(); ++i) sum += ms_of(costs[i], formats[i]);
    return sum;
  }
  double error(const std::vector<OperationCosts>& costs) const {
    double sum = 0;
    for (std::size_t i = 0; i < costs.size(); ++i) sum += squared_error(costs[i], formats[i]);
    return std::sqrt(sum);
  }
};

// fp32, and the half formats that are faster than it.
std::vector<Format> worthwhile_formats(const OperationCosts& costs, double step_ms) {
  std::vector<Format> formats{Format::fp32};
  if (costs.keep) return formats;
  for (const HalfCost& half : costs.half) {
    if (speed_of(costs, half, step_ms) == Speed::faster) formats.push_back(half.format);
  }
  return formats;
}

Format first_format(const OperationCosts& costs, Format compute, double step_ms) {
  if (costs.keep) return Format::fp32;
  const HalfCost* half = find_half(costs, compute);
  if (half && speed_of(costs, *half, step_ms) != Speed::slower) return compute;
  const auto formats = worthwhile_formats(costs, step_ms);
  return *std::min_element(formats.begin(), formats.end(),
                           [&](Format a, Format b) { return ms_of(costs, a) < ms_of(costs, b); });
}

// The change that lowers the squared error most for the time that it costs.
struct Raise {
  std::size_t operation = 0;
  Format format = Format::fp32;
  double value = -1;
};

std::optional<Raise> best_raise(const std::vector<OperationCosts>& costs, const Choice& choice,
                                double step_ms) {
  std::optional<Raise> best;
  for (std::size_t i = 0; i < costs.size(); ++i) {
    const double before = squared_error(costs[i], choice.formats[i]);
    for (const Format format : worthwhile_formats(costs[i], step_ms)) {
      const double after = squared_error(costs[i], format);
      if (!(after < before)) continue;
      const double gain = std::min(before - after, std::numeric_limits<double>::max());
      const double price = ms_of(costs[i], format) - ms_of(costs[i], choice.formats[i]);
      const double value = gain / std::max(price, kNegligible * std::max(step_ms, kShortest));
      if (!best || value > best->value) best = Raise{i, format, value};
    }
  }
  return best;
}

// Raises that later ones have made needless, the most expensive first.
void take_back(const std::vector<OperationCosts>& costs, Format compute, double max_error,
               Choice& choice) {
  std::vector<std::size_t> raised;
  for (std::size_t i = 0; i < costs.size(); ++i) {
    if (choice.raised[i]) raised.push_back(i);
  }
  const auto saved = [&](std::size_t i) {
    return ms_of(costs[i], choice.formats[i]) - ms_of(costs[i], compute);
  };
  std::stable_sort(raised.begin(), raised.end(),
                   [&](std::size_t a, std::size_t b) { return saved(a) > saved(b); });
  for (const std::size_t i : raised) {
    Choice lower = choice;
    lower.formats[i] = compute;
    lower.raised[i] = false;
    if (lower.error(costs) <= max_error) choice = lower;
  }
}

Choice choose(const std::vector<OperationCosts>& costs, Format compute,
              const PrecisionAdviceOptions& options) {
  Choice choice;
  for (const OperationCosts& each : costs) {
    choice.formats.push_back(first_format(each, compute, options.step_ms));
    choice.raised.push_back(false);
  }
  while (!(choice.error(costs) <= options.max_error)) {
    const auto raise = best_raise(costs, choice, options.step_ms);
    if (!raise) break;
    choice.formats[raise->operation] = raise->format;
    choice.raised[raise->operation] = true;
  }
  take_back(costs, compute, options.max_error, choice);
  return choice;
}

std::string number_text(const char* format, double value) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, format, value);
  return buffer;
}

std::string ratio_text(double ratio) { return number_text(ratio < 0.1 ? "%.3f×" : "%.2f×", ratio); }

std::string snr(const HalfCost& half) {
  if (!std::isfinite(half.error.gradient)) return "gradient not finite";
  if (half.error.gradient < kExact) return "gradient as in fp32";
  return "gradient SNR " + number_text("%.0f dB", half.error.gradient_snr_db());
}

OperationAdvice explain(const OperationCosts& costs, Format format, Format compute, bool raised,
                        double step_ms) {
  OperationAdvice advice{format, std::string(format_name(format)) + ": ", false};
  if (costs.keep) {
    advice.reason += "asked for";
    return advice;
  }
  const HalfCost* first = find_half(costs, compute);
  const HalfCost* half = find_half(costs, format);
  if (half && format == compute) {
    const Speed speed = speed_of(costs, *half, step_ms);
    advice.in_noise = speed == Speed::same;
    advice.reason += ratio_text(half->speedup.median) + " here" +
                     (advice.in_noise ? " (noise), as the rest, " : ", ") + snr(*half);
    return advice;
  }
  if (!first) {
    advice.reason += "as everything";
    return advice;
  }
  const std::string name = format_name(compute);
  advice.reason += raised ? snr(*first) + " in " + name
                          : ratio_text(first->speedup.median) + " in " + name + " here";
  if (half) advice.reason += "; " + ratio_text(half->speedup.median) + " here, " + snr(*half);
  return advice;
}

std::string parent_of(const std::string& name) {
  const auto dot = name.rfind('.');
  return dot == std::string::npos ? "" : name.substr(0, dot);
}

// Operations without a parameter are ruled by their name, which others may share.
void add_rules(const std::vector<OperationCosts>& costs,
               const std::vector<LoweredOperation>& operations, const Choice& choice,
               PrecisionAdvice& advice) {
  std::vector<std::string> ruled;
  for (std::size_t i = 0; i < costs.size(); ++i) {
    if (!operations[i].parameter.empty() || choice.formats[i] == advice.policy.compute) continue;
    advice.policy.operations.push_back({operations[i].operation, choice.formats[i]});
    advice.operation_rules.push_back(i);
    ruled.push_back(operations[i].operation);
  }
  for (std::size_t i = 0; i < costs.size(); ++i) {
    if (operations[i].parameter.empty()) continue;
    const bool shared =
        std::find(ruled.begin(), ruled.end(), operations[i].operation) != ruled.end();
    if (choice.formats[i] == advice.policy.compute && !shared) continue;
    advice.policy.modules.push_back({rule_name(operations, i), choice.formats[i]});
    advice.module_rules.push_back(i);
  }
}

PrecisionAdvice advice_of(const std::vector<OperationCosts>& costs, Format compute,
                          const Choice& choice, const PrecisionAdviceOptions& options) {
  PrecisionAdvice advice;
  std::vector<LoweredOperation> operations;
  for (const OperationCosts& each : costs) operations.push_back(each.operation);
  for (std::size_t i = 0; i < costs.size(); ++i) {
    advice.operations.push_back(
        explain(costs[i], choice.formats[i], compute, choice.raised[i], options.step_ms));
  }
  advice.ms = choice.ms(costs);
  advice.error = choice.error(costs);
  if (!choice.uses(Format::bf16) && !choice.uses(Format::fp16)) return advice;
  advice.policy = Policy::preset(format_name(compute));
  add_rules(costs, operations, choice, advice);
  if (!advice.policy.modules.empty() || !advice.policy.operations.empty()) {
    advice.policy.name = "advised-" + advice.policy.name;
  }
  if (choice.uses(Format::fp16)) advice.policy.loss_scale.kind = LossScaling::dynamic;
  return advice;
}

}  // namespace

std::string rule_name(const std::vector<LoweredOperation>& operations, std::size_t which) {
  const std::string& parameter = operations[which].parameter;
  if (parameter.empty()) return operations[which].operation;
  const std::string module = parent_of(parameter);
  if (module.empty()) return parameter;
  for (std::size_t i = 0; i < operations.size(); ++i) {
    if (i != which && operations[i].parameter.starts_with(module + ".")) return parameter;
  }
  return module;
}

Policy lowered_alone(const std::vector<LoweredOperation>& operations, std::size_t which,
                     Format format) {
  Policy policy = Policy::preset(format_name(format));
  policy.name = "lowered alone";
  policy.modules.push_back({"*", Format::fp32});
  for (std::size_t i = 0; i < operations.size(); ++i) {
    if (!operations[i].parameter.empty()) continue;
    policy.operations.push_back({operations[i].operation, i == which ? format : Format::fp32});
  }
  if (!operations[which].parameter.empty()) {
    policy.modules.push_back({operations[which].parameter, format});
  }
  return policy;
}

PrecisionAdvice uniform_policy(const std::vector<OperationCosts>& costs, Format format,
                               const PrecisionAdviceOptions& options) {
  Choice choice;
  for (const OperationCosts& each : costs) {
    choice.formats.push_back(each.keep ? Format::fp32 : format);
    choice.raised.push_back(false);
  }
  return advice_of(costs, format, choice, options);
}

PrecisionAdvice choose_policy(const std::vector<OperationCosts>& costs,
                              const PrecisionAdviceOptions& options) {
  const bool any_faster = std::any_of(costs.begin(), costs.end(), [&](const auto& each) {
    return worthwhile_formats(each, options.step_ms).size() > 1;
  });
  std::optional<PrecisionAdvice> best;
  for (const Format compute : {Format::bf16, Format::fp16}) {
    const bool measured = std::any_of(costs.begin(), costs.end(), [&](const OperationCosts& each) {
      return find_half(each, compute) != nullptr;
    });
    if (!any_faster || !measured) continue;
    const Choice choice = choose(costs, compute, options);
    const Format other = compute == Format::bf16 ? Format::fp16 : Format::bf16;
    if (!choice.uses(compute) && choice.uses(other)) continue;  // the other's exceptions alone
    PrecisionAdvice advice = advice_of(costs, compute, choice, options);
    if (!best || best->ms >= kWorthwhile * advice.ms) best = std::move(advice);
  }
  if (best) return *best;
  PrecisionAdvice advice = uniform_policy(costs, Format::fp32, options);
  for (std::size_t i = 0; i < costs.size(); ++i) {
    if (!costs[i].keep) advice.operations[i].reason = "fp32: no half format is faster here";
  }
  return advice;
}

}  // namespace halftone::numerics
