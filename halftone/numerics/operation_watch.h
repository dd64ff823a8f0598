// Observing: every operation that LibTorch runs on a thread, forward and backward, with its inputs
// and outputs. RecordFunction callbacks; nothing is asked of the network.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "halftone/base/export.h"

namespace halftone::numerics {

// What a sink keeps of a call between its begin and its end.
struct CallNotes {
  virtual ~CallNotes() = default;
};

// A call that runs. Operations are seen as the program or a node of the backward pass calls them;
// what LibTorch's kernels call below autograd is not.
struct OperationCall {
  enum class Kind {
    operation,  // "convolution"
    node,       // of the backward pass, around its operations: "ConvolutionBackward0"
    scope,      // RECORD_USER_SCOPE("name"), which names what has no parameter
  };
  Kind kind = Kind::operation;
  std::string name;                      // without namespaces
  const OperationCall* outer = nullptr;  // the call around it, on the same thread
  // operation: the number that autograd gives to the next node of this thread. node: that of the
  // operation that made it, with the thread of that operation (max: AccumulateGrad).
  std::uint64_t sequence = 0, thread = 0;
  bool with_gradients = false;  // GradMode
  bool out_variant = false;     // the last input is overwritten
  // Of operations: defined tensors, those of lists too. Of nodes, while `begin` runs: the gradients
  // that come in, undefined ones in their place.
  std::vector<at::Tensor> inputs;
  std::vector<std::uint32_t> versions;  // of the inputs, when the call began
  bool zero_scalar = false;             // a number among the arguments is zero
  std::unique_ptr<CallNotes> notes;

  // The nearest call of that kind around this one, or null.
  const OperationCall* enclosing(Kind wanted) const;
};

// True for other strides of an input's memory, with nothing written to it by the call.
bool is_view_of_input(const OperationCall& call, const at::Tensor& output);

// Called on the thread that runs the operation, one call at a time over all threads. It may use
// LibTorch's operations: they are not watched, and differentiate nothing.
class OperationSink {
 public:
  virtual ~OperationSink() = default;
  virtual void begin(OperationCall& call) = 0;
  // outputs: of operations, undefined ones in their place; none where the operation threw.
  virtual void end(OperationCall& call, const std::vector<at::Tensor>& outputs) = 0;
};

// Until it is destroyed, `sink` sees what the calling thread runs, and what LibTorch runs for it
// elsewhere (backward, at::launch): a thread that outlives the watch keeps the sink alive but does
// not call it any more. A watch inside another takes its place. Destroy it on the thread that made
// it, before guards that were there first.
class HALFTONE_API OperationWatch {
 public:
  explicit OperationWatch(std::shared_ptr<OperationSink> sink);
  ~OperationWatch();
  OperationWatch(const OperationWatch&) = delete;
  OperationWatch& operator=(const OperationWatch&) = delete;

  // Throws what the sink threw first, if it did; LibTorch swallows it where it happens, and the
  // sink is not called again after it.
  void rethrow() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace halftone::numerics
