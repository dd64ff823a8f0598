// The error that an operation's format explains, from the unit roundoff and the depth.
#pragma once

#include <string>
#include <vector>

#include "halftone/numerics/operation_recorder.h"
#include "halftone/precision/policy.h"

namespace halftone::numerics {

struct ExpectedErrors {
  double output = 0, gradient = 0;  // relative, of the norm
};

// For each of a pass's operations, in their order. Roundings are taken as independent, so that
// their squares add (Higham and Mary 2019, "A new approach to probabilistic rounding error
// analysis", SIAM J. Sci. Comput. 41(5): sqrt(n) u in place of n u), with u the unit roundoff of
// the format:
//
//  - An operation adds 3 u² where Autocast lowers it (two operands and the result are rounded),
//  else
//    u², and length * u32² for sums of `length` terms in fp32. u: of the output's format, or of the
//    emulated format in which its weight is (EmulationPolicy).
//  - What came before it is passed on as it is: sums of terms with random signs grow as their
//    errors do. Of an exponential an absolute error of the input is a relative one of the output:
//    times the input's root mean square, where that is above 1.
//  - Backward starts with the loss's error and goes back through the operations, each of which adds
//    the same again, and, where its derivative depends on its input, the input's error e: e² where
//    it is smooth. Of a kink (ReLU, max) it is the share of signs that turn: for normal z and an
//    error e of it, atan(e) / pi, half of which carry a gradient: 2 e / pi of the squared norm. So
//    gradients err by the root of what the outputs do.
std::vector<ExpectedErrors> expected_errors(const std::vector<RecordedOperation>& operations,
                                            const Policy& policy);

}  // namespace halftone::numerics
