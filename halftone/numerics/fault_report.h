// What a replayed step tells of the first number that went bad.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/base/json.h"
#include "halftone/numerics/loss_trend.h"
#include "halftone/numerics/tensor_range.h"

namespace halftone::numerics {

enum class FaultKind {
  operation,    // its output is not finite, its inputs were
  tensor,       // a parameter, a buffer or the batch was not finite before anything read it
  transient,    // the fault did not come again
  unexplained,  // no watched operation made it
  failed,       // the replay itself threw
};

// "operation", "tensor", …
HALFTONE_API const char* fault_kind_name(FaultKind kind);

// The first bad number of a forward and backward pass.
struct Fault {
  FaultKind kind = FaultKind::unexplained;
  // "layer3.1.conv2.weight · convolution_backward, gradient of input"; of a tensor its name and the
  // operation that read it; of a transient fault the first operation that gave other bits in
  // another replay, "" where two replays agree.
  std::string name;
  std::string operation;  // LibTorch's name: "convolution_backward"
  bool backward = false;
  // What a policy's rule can name: the parameter that the operation reads, or in the backward pass
  // the forward operation that it belongs to ("" none); that forward operation; and the parameter
  // of another module that made its input ("" none).
  std::string parameter, forward_operation, parameter_before;
  std::vector<TensorRange> inputs;  // when the operation began
  TensorRange output;
  // The operation whose result, zero where its inputs were not, made this one singular: "" if none.
  std::string underflow;
  std::string error;             // what the replay threw
  std::int64_t micro_batch = 0;  // counted from 0
};

struct FaultReport {
  std::int64_t step = 0;
  std::string symptom;  // "loss nan", "gradient of fc.weight not finite"
  double loss_scale = 1, learning_rate = 0;
  std::int64_t micro_batches = 1;  // of the step, as far as it came
  LossTrend::Growth trend;         // of the losses before
  Fault fault;
  std::vector<std::string> hints;  // the likeliest first
  std::int64_t replays = 1;
  double replay_ms = 0;  // all of them

  // One line: "first not finite: fc.weight · addmm (fp16)".
  HALFTONE_API std::string headline() const;
  // Several lines, without a line break at the end.
  HALFTONE_API std::string text() const;
  HALFTONE_API Json to_json() const;
};

// From the table of fault_hints.cpp, those that fit.
std::vector<std::string> fault_hints(const FaultReport& report);

}  // namespace halftone::numerics
