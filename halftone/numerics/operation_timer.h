// How long the operations that a policy can lower take, each within a real training step.
#pragma once

#include <ATen/core/Tensor.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/numerics/operation_name.h"
#include "halftone/numerics/operation_watch.h"

namespace halftone::numerics {

// An operation that Autocast computes in the policy's format (Cast::lower), as a rule can name it:
// by the parameter that it reads, else by what LibTorch's dispatcher calls it.
struct LoweredOperation {
  std::string parameter;  // "layer1.0.conv1.weight"; "" for attention and products of activations
  std::string operation;  // "conv2d"
  std::vector<std::int64_t> input;   // shape of the first operand that is no parameter
  std::vector<std::int64_t> weight;  // of the parameter; empty where there is none

  const std::string& name() const { return parameter.empty() ? operation : parameter; }
};

struct OperationTime {
  double forward_ms = 0, backward_ms = 0;  // casts of its operands and gradients included
  double ms() const { return forward_ms + backward_ms; }
};

// The sink of an OperationWatch around one training step. It finds the operations by itself, in
// fp32 and under Autocast alike: nothing is asked of the network. What a parameter's operation
// takes in several calls of a step is added up. Its own time is left out.
class HALFTONE_API OperationTimer final : public OperationSink {
 public:
  // module: must outlive it. Throws UsageError for a module without parameters.
  explicit OperationTimer(const torch::nn::Module& module);
  ~OperationTimer() override;

  // Before each step: sets the times to zero.
  void begin_step();

  void begin(OperationCall& call) override;
  void end(OperationCall& call, const std::vector<at::Tensor>& outputs) override;

  // All that any step had, in the order of their first calls.
  const std::vector<LoweredOperation>& operations() const { return operations_; }
  // Of the last step, in the order of operations().
  const std::vector<OperationTime>& times() const { return times_; }

 private:
  using Clock = std::chrono::steady_clock;
  struct Notes;
  // The place in operations_ of a call that is to be timed, or -1.
  int find(const OperationCall& call);
  int find_forward(const OperationCall& call);

  const torch::nn::Module& module_;
  std::unique_ptr<TensorNames> tensors_;  // of the step
  std::vector<LoweredOperation> operations_;
  std::vector<OperationTime> times_;
  std::map<std::string, int> places_;                             // by name()
  std::map<std::pair<std::uint64_t, std::uint64_t>, int> nodes_;  // by thread and sequence number
  Clock::duration own_{};
};

}  // namespace halftone::numerics
