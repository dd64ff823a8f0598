// The same batches through two policies, operation by operation.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/base/json.h"
#include "halftone/precision/policy.h"

namespace torch::nn {
class Module;
}

namespace halftone::numerics {

// A network under a policy, which has been applied to it.
struct LockstepArm {
  const torch::nn::Module& module;
  const Policy& policy;
  std::function<at::Tensor(std::size_t batch)> loss;  // a scalar
};

// An operation that both arms ran. Relative: the Euclidean norm of the difference over that of the
// first arm's, over all batches; infinity where a number is not finite.
struct OperationDifference {
  std::string name;                // "layer1.0.conv1.weight · conv2d"
  std::string format_a, format_b;  // of the output
  double output = 0;
  double gradient = -1;  // of the output; below 0: none came back in both arms
  // What the formats explain (expected_error.h).
  double expected_output = 0, expected_gradient = 0;

  // What is not marked: kAllowed times the larger of what is expected and what was measured of
  // operations that ran before, whose error an operation inherits.
  double allowed_output = 0, allowed_gradient = 0;

  bool output_too_large() const { return output > allowed_output; }
  bool gradient_too_large() const { return gradient > allowed_gradient; }
  // Expected errors are estimates of a norm: what a layer or normalisation adds by its own
  // condition (how far its terms cancel) they leave out, and this is the room for it.
  static constexpr double kAllowed = 8;
};

struct LockstepReport {
  std::string policy_a, policy_b;
  double loss_scale_a = 1, loss_scale_b = 1;
  std::int64_t batches = 0;
  std::vector<OperationDifference> operations;  // in the order of execution
  // Run by one arm alone: a fused block that a policy's rule takes apart.
  std::vector<std::string> only_a, only_b;

  // The first in the order of execution, the forward pass and then the backward one, from its end:
  // the place in `operations` and whether it is the gradient; -1: none is too large.
  struct First {
    std::int64_t place = -1;
    bool gradient = false;
  };
  HALFTONE_API First first_too_large() const;
  // "fc.weight · linear, output: 0.21, expected 0.0068"; "" where none is too large.
  HALFTONE_API std::string headline() const;
  HALFTONE_API Json to_json() const;
};

// Runs each batch under both policies from the same state of LibTorch's generator, with every
// operation watched. The loss scale of a policy that scales is its initial one, halved until no
// gradient overflows; gradients are compared unscaled. Weights, gradients, buffers and generators
// stay as they were. Throws UsageError for a module without parameters and for no batch, and Error
// where the arms ran no operation of the same name. Not thread-safe.
HALFTONE_API LockstepReport lockstep(const LockstepArm& a, const LockstepArm& b,
                                     std::size_t batches);

}  // namespace halftone::numerics
