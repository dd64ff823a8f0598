// What an operation is called in a report: by the parameter that it reads, and by its place.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/numerics/operation_watch.h"

namespace torch::nn {
class Module;
}

namespace halftone::numerics {

// Where in the network an operation is: "layer3.1.conv2.weight", "after layer3.1.bn2.weight" for
// one that reads no parameter, or the name of the RECORD_USER_SCOPE around it.
struct OperationPlace {
  std::string name;
  bool after = false;  // the last parameter that was read before it

  std::string text() const { return (after ? "after " : "") + name; }
};

// An operation of the forward pass, as its part of the backward pass refers to it.
struct ForwardOperation {
  OperationPlace place;
  std::string operation;
  std::string occurrence;  // " #2": the second of this name in a forward pass; "" the first
  std::string before;      // the parameter that made its input; "" none
};

// Names of memory: parameters and buffers of a module, what is cast from them, views of either.
class TensorNames {
 public:
  explicit TensorNames(const torch::nn::Module& module);

  // The parameter, else buffer, that the tensor is a view or a cast of; "" if of none.
  std::string find(const at::Tensor& tensor) const;
  bool is_buffer(const std::string& name) const;

  // Names `copy`, and keeps it, so that no other tensor takes its memory.
  void add_copy(const at::Tensor& copy, const std::string& name);
  // Names what is not the module's, such as the batch; no operation is named by it.
  void add_guest(const at::Tensor& tensor, const std::string& name);
  bool is_guest(const std::string& name) const;
  // Guests, too.
  void forget_copies();

 private:
  struct Part {
    const char* end;
    std::string name;
    bool buffer;
  };
  void add_part(const at::Tensor& tensor, const std::string& name, bool buffer);

  std::map<const char*, Part> parts_;  // by first byte
  std::vector<std::pair<at::Tensor, const char*>> copies_;
  std::vector<std::string> guests_;
};

// Follows a forward and backward pass and names each call. Not thread-safe.
class OperationNames {
 public:
  explicit OperationNames(const torch::nn::Module& module);

  // A new pass over the network (a micro-batch): occurrences count anew.
  void begin_pass();

  // What `begin` of a call found out; to be given to `end`, and to name().
  struct Known {
    std::string parameter;  // read by the call itself
    OperationPlace place;
    const ForwardOperation* forward = nullptr;  // in backward: of the node around it, if known
    bool backward = false;
    std::string occurrence;
    std::string before;  // the parameter of another module that made an input; "" none
  };
  // known_outer: of call.outer, or null.
  Known begin(const OperationCall& call, const Known* known_outer);
  void end(const OperationCall& call, const Known& known, const std::vector<at::Tensor>& outputs);

  // "layer3.1.conv2.weight · convolution_backward, gradient of input". output: which of `outputs`.
  std::string name(const OperationCall& call, const Known& known, std::size_t output,
                   std::size_t outputs) const;

  bool is_parameter(const std::string& name) const { return parameters_.contains(name); }

  TensorNames& tensors() { return tensors_; }

 private:
  using NodeKey = std::pair<std::uint64_t, std::uint64_t>;  // thread, sequence
  void remember_forward(const OperationCall& call, const Known& known);
  const ForwardOperation* forward_of(const OperationCall& node) const;
  std::string find_producer(const OperationCall& call, const Known& known) const;
  void remember_producer(const Known& known, const std::vector<at::Tensor>& outputs);
  std::string count(const std::string& text);

  TensorNames tensors_;
  std::set<std::string> parameters_;
  std::map<NodeKey, ForwardOperation> forward_;
  std::unordered_map<std::string, int> counts_;
  std::string last_parameter_;
  // By memory: the parameter whose operation made what lies there, directly or by what reads none.
  std::unordered_map<const void*, std::string> producers_;
  ForwardOperation last_node_;  // of the backward pass
  bool in_backward_ = false;
};

// True where both are the same operation to a reader: "conv2d" and "convolution", "log_softmax" and
// "_log_softmax".
bool same_operation(std::string_view a, std::string_view b);

}  // namespace halftone::numerics
