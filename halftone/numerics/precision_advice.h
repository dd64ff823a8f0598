// The choice of a policy from what each operation takes and costs in each format.
#pragma once

#include <string>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/numerics/operation_timer.h"
#include "halftone/numerics/precision_probe.h"
#include "halftone/precision/policy.h"

namespace halftone::numerics {

// How many times as fast as fp32, from runs that took turns: median and quartiles of fp32's time
// over this one's, turn by turn.
struct Speedup {
  double median = 1, low = 1, high = 1;

  // By more than noise: the quartiles are on the same side of 1, and the median is `worth` away.
  bool faster(double worth) const { return low > 1 && median >= worth; }
  bool slower(double worth) const { return high < 1 && median <= 1 / worth; }
};

// One operation in one half format.
struct HalfCost {
  Format format = Format::bf16;
  OperationTime time;    // medians
  Speedup speedup;       // of forward and backward together
  PrecisionError error;  // of the network where this operation alone is lowered
  // What a network with all operations in the format errs by, over what is predicted from them
  // one by one: neighbours share roundings. 1: not measured.
  double shared = 1;
};

struct OperationCosts {
  LoweredOperation operation;
  OperationTime fp32;  // medians
  std::vector<HalfCost> half;
  bool keep = false;  // in fp32, whatever is measured
};

struct PrecisionAdviceOptions {
  double max_error = 0.1;  // of the gradient, as PrecisionError has it
  double step_ms = 0;      // of fp32; what saves less than 0.2 % of it is noise
};

struct OperationAdvice {
  Format format = Format::fp32;
  std::string reason;     // "bf16: 1.87× here, gradient SNR 38 dB", "fp32: 0.7× in fp16 here"
  bool in_noise = false;  // its speed did not decide
};

struct PrecisionAdvice {
  Policy policy;
  std::vector<OperationAdvice> operations;  // in the order of the costs
  // By rule of policy.modules and policy.operations: which operation it is for.
  std::vector<std::size_t> module_rules, operation_rules;
  double ms = 0;     // of the operations together, as predicted
  double error = 0;  // of the gradient, as predicted
};

// The fastest policy whose predicted error stays under options.max_error. Predicted error: the
// errors of operations lowered alone are taken as independent, so that their squares add (Lin,
// Talathi and Annapureddy 2016, "Fixed point quantization of deep convolutional networks",
// arXiv:1511.06393, 3: the noise-to-signal ratios of quantised layers add). Predicted time: the
// sum.
//
// All operations start in one half format, unless they are slower in it than in fp32; within noise
// they keep it, so that a policy has no exceptions that mean nothing. While the error is too large,
// the operation goes up (to fp32, or to a half format that is faster than fp32 and more accurate)
// for which the drop of the squared error is largest per millisecond; what then turns out not to be
// needed is taken back. Of the half formats the one
// with the faster outcome is taken, bf16 where they are alike; fp32 where no operation is faster in
// half. Weights are stored in fp32. With an operation in fp16 the loss is scaled dynamically.
HALFTONE_API PrecisionAdvice choose_policy(const std::vector<OperationCosts>& costs,
                                           const PrecisionAdviceOptions& options);

// All operations in one format but those that are to be kept.
HALFTONE_API PrecisionAdvice uniform_policy(const std::vector<OperationCosts>& costs, Format format,
                                            const PrecisionAdviceOptions& options);

// The policy in which one operation alone is computed in `format`, everything else in fp32.
HALFTONE_API Policy lowered_alone(const std::vector<LoweredOperation>& operations,
                                  std::size_t which, Format format);

// What a rule for the operation matches: its module ("layer1.0.conv1") where no other operation's
// parameter is there, else the parameter, else the operation's name.
HALFTONE_API std::string rule_name(const std::vector<LoweredOperation>& operations,
                                   std::size_t which);

}  // namespace halftone::numerics
