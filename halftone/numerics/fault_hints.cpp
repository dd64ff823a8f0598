// The table of what usually lies behind a fault, the likeliest first.
#include <algorithm>
#include <string_view>

#include "halftone/base/text.h"
#include "halftone/numerics/fault_report.h"

namespace halftone::numerics {
namespace {

constexpr double kFp16Max = 65504;
// Below it a denominator is as good as zero: its reciprocal overflows fp16.
constexpr double kTinyInFp16 = 1 / kFp16Max;
constexpr std::size_t kMostHints = 3;

bool always(const FaultReport&) { return true; }
bool is_half(const TensorRange& range) { return range.format == "fp16" || range.format == "bf16"; }
bool half(const FaultReport& report) { return is_half(report.fault.output); }
bool fp16(const FaultReport& report) { return report.fault.output.format == "fp16"; }
bool diverged(const FaultReport& report) { return report.trend.diverged(); }
bool has_underflow(const FaultReport& report) { return !report.fault.underflow.empty(); }

bool any_input(const FaultReport& report, auto&& condition) {
  return std::any_of(report.fault.inputs.begin(), report.fault.inputs.end(), condition);
}
bool zero_or_less_input(const FaultReport& report) {
  return any_input(report, [](const TensorRange& input) { return input.zeros || input.low < 0; });
}
bool tiny_denominator(const FaultReport& report) {
  const auto& inputs = report.fault.inputs;
  if (inputs.empty() || !inputs.back().floating) return true;  // a scalar
  const TensorRange& last = inputs.back();
  return last.zeros || last.amax() <= kTinyInFp16 || (last.low <= kTinyInFp16 && last.high > 0);
}
bool too_large_for_fp16(const FaultReport& report) {
  return fp16(report) &&
         any_input(report, [](const TensorRange& input) { return input.amax() > kFp16Max; });
}
// The gradient is infinite in fp16, which a smaller loss scale would not be.
bool scaled_overflow(const FaultReport& report) {
  const TensorRange& output = report.fault.output;
  return fp16(report) && report.loss_scale > 1 &&
         output.positive_infinities + output.negative_infinities > 0;
}

enum class Pass { any, forward, backward };

struct Hint {
  FaultKind kind;
  std::string_view operations;  // globs between spaces
  Pass pass;
  bool (*applies)(const FaultReport&);
  // {operation} {format} {scale} {lr} {steps} {from} {to} {amax} {place} {underflow} are filled in.
  std::string_view text;
};

constexpr Hint kHints[] = {
    {FaultKind::operation, "*", Pass::any, diverged,
     "training diverged: the loss grew from {from} to {to} in the {steps} steps before; a learning "
     "rate of {lr} is too high, or wants a warm-up"},
    {FaultKind::operation, "binary_cross_entropy*", Pass::any, always,
     "binary cross-entropy of probabilities: one that rounds to 0 or 1 has an infinite logarithm; "
     "use binary_cross_entropy_with_logits"},
    {FaultKind::operation, "*", Pass::any, has_underflow,
     "zeros that were no zeros: {underflow} underflowed; compute it in fp32 or bf16"},
    {FaultKind::operation, "exp exp_ exp2 expm1 *softmax* sinh cosh softplus pow pow_ square",
     Pass::forward, half,
     "{operation} in {format} overflows early (exp in fp16 above 11.09); compute it in fp32: in "
     "the "
     "policy [[operations]] match = \"{operation}\", format = \"fp32\""},
    {FaultKind::operation, "log log_ log2 log10 log1p xlogy", Pass::forward, zero_or_less_input,
     "the logarithm of zero or of a negative number; clamp its input, or use log_softmax"},
    {FaultKind::operation, "div div_ true_divide reciprocal rsqrt rsqrt_ pow", Pass::forward,
     tiny_denominator,
     "division by a tiny number (a variance or norm near zero): add an epsilon that {format} holds "
     "(fp16 rounds below 3e-8 to 0), or divide in fp32"},
    {FaultKind::operation, "sqrt_backward *norm_backward div mul pow reciprocal rsqrt",
     Pass::backward, tiny_denominator,
     "the derivative of a root, norm or quotient at zero is infinite: add an epsilon inside it"},
    {FaultKind::operation, "sum mean var std norm linalg_vector_norm cumsum prod logsumexp *pool2d",
     Pass::forward, half,
     "a sum in {format} (fp16 ends at 65504): sum in fp32, by dtype = kFloat or the policy's "
     "[[operations]]"},
    {FaultKind::operation, "*", Pass::backward, scaled_overflow,
     "the loss scale {scale} is too high for this gradient; a dynamic one falls by itself, else "
     "lower loss_scale.init"},
    {FaultKind::operation, "_to_copy to copy_", Pass::forward, too_large_for_fp16,
     "a value of {amax} does not fit fp16 (65504): keep this layer in fp32 or bf16: in the policy "
     "[[modules]] match = \"{place}\""},
    {FaultKind::operation, "mm addmm bmm baddbmm matmul linear convolution* _convolution* conv*",
     Pass::forward, fp16,
     "sums of products beyond 65504: keep this layer in fp32 or bf16: in the policy [[modules]] "
     "match = \"{place}\""},
    {FaultKind::operation, "masked_fill* where full* fill_", Pass::forward, always,
     "an infinite mask reached the loss: the softmax of a row of only -inf is NaN"},
    {FaultKind::tensor, "*", Pass::any, diverged,
     "training diverged: the loss grew from {from} to {to} in the {steps} steps before; a learning "
     "rate of {lr} is too high, or wants a warm-up"},
    {FaultKind::tensor, "batch*", Pass::any, always,
     "the data hold it: look at the samples of this batch"},
    {FaultKind::tensor, "parameter", Pass::any, always,
     "the weight was not finite before this step: a step before, or what was loaded, wrote it"},
    {FaultKind::tensor, "buffer", Pass::any, always,
     "the buffer was not finite before this step: a statistic of an earlier batch, or what was "
     "loaded"},
    {FaultKind::transient, "*", Pass::any, always,
     "a state that is neither weight nor buffer nor LibTorch's generator, a race between threads, "
     "or failing hardware"},
};

void replace_all(std::string& text, std::string_view key, const std::string& value) {
  for (std::size_t at = 0; (at = text.find(key, at)) != std::string::npos; at += value.size()) {
    text.replace(at, key.size(), value);
  }
}

// The parameter in the fault's name.
std::string place_of(const std::string& name) {
  std::string place = name.substr(0, name.find(" · "));
  if (place.starts_with("after ")) place.erase(0, 6);
  return place;
}

double largest_input(const FaultReport& report) {
  double largest = 0;
  for (const TensorRange& input : report.fault.inputs) largest = std::max(largest, input.amax());
  return largest;
}

std::string filled(std::string_view text, const FaultReport& report) {
  std::string result(text);
  replace_all(result, "{operation}", report.fault.operation);
  replace_all(result, "{format}", report.fault.output.format);
  replace_all(result, "{scale}", format_number(report.loss_scale));
  replace_all(result, "{lr}", format_number(report.learning_rate));
  replace_all(result, "{steps}", std::to_string(report.trend.steps));
  replace_all(result, "{from}", short_number(report.trend.from));
  replace_all(result, "{to}", short_number(report.trend.to));
  replace_all(result, "{amax}", short_number(largest_input(report)));
  replace_all(result, "{place}", place_of(report.fault.name));
  replace_all(result, "{underflow}", report.fault.underflow);
  return result;
}

}  // namespace

std::vector<std::string> fault_hints(const FaultReport& report) {
  const Pass pass = report.fault.backward ? Pass::backward : Pass::forward;
  std::vector<std::string> hints;
  for (const Hint& hint : kHints) {
    if (hints.size() == kMostHints) break;
    if (hint.kind != report.fault.kind || (hint.pass != Pass::any && hint.pass != pass)) continue;
    if (!glob_match_any(hint.operations, report.fault.operation) || !hint.applies(report)) continue;
    hints.push_back(filled(hint.text, report));
  }
  return hints;
}

}  // namespace halftone::numerics
