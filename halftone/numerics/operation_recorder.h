// Keeps what every operation of a forward and backward pass made, to be compared with another pass.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/numerics/operation_name.h"
#include "halftone/numerics/operation_watch.h"

namespace torch::nn {
class Module;
}

namespace halftone::numerics {

struct RecordedOperation {
  std::string name;         // "layer1.0.conv1.weight · conv2d"
  std::string operation;    // "conv2d"
  std::string parameter;    // that it reads; "" none
  std::int64_t length = 1;  // terms of its sums: of a row of the weight, else of the last dimension
  double input_rms = 0;     // of the first input; of exponentials alone
  at::Tensor output;        // a copy, in its own format
  at::Tensor gradient;      // of the output, a copy; undefined where none came back
};

// e^x and what is made of it: an absolute error of the input is a relative one of the result.
bool is_exponential(const std::string& operation);

// The sink of an OperationWatch around one forward and backward pass. It keeps the operations that
// the program itself calls, in order, but those that only cast or view. Memory: two copies of the
// activations.
class HALFTONE_API OperationRecorder final : public OperationSink {
 public:
  explicit OperationRecorder(const torch::nn::Module& module);
  ~OperationRecorder() override;

  void begin(OperationCall& call) override;
  void end(OperationCall& call, const std::vector<at::Tensor>& outputs) override;

  const std::vector<RecordedOperation>& operations() const { return operations_; }

 private:
  struct Notes;
  void record(const OperationCall& call, const Notes& notes, const at::Tensor& output);

  OperationNames names_;
  std::map<std::string, std::int64_t> row_lengths_;  // by parameter
  std::vector<RecordedOperation> operations_;
  // By thread and sequence number: whose output a node takes the gradient of.
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::size_t> nodes_;
};

}  // namespace halftone::numerics
