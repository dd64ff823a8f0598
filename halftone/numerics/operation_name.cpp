#include "halftone/numerics/operation_name.h"

#include <ATen/SequenceNumber.h>
#include <torch/nn/module.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace halftone::numerics {
namespace {

using Kind = OperationCall::Kind;

constexpr const char* kStart = "input";  // the place before any parameter
constexpr std::size_t kSamePrefix = 4;   // letters: "conv", "soft", "batch"

// Operations whose result is their first input in another format or layout.
constexpr std::array<std::string_view, 5> kCasts = {"to", "_to_copy", "clone", "contiguous",
                                                    "_autocast_to_reduced_precision"};

// What the outputs of a backward operation are the gradients of.
struct Gradients {
  std::string_view operation;
  std::array<std::string_view, 4> of;
};
constexpr Gradients kGradients[] = {
    {"convolution_backward", {"input", "weight", "bias"}},
    {"native_batch_norm_backward", {"input", "weight", "bias"}},
    {"batch_norm_backward", {"input", "weight", "bias"}},
    {"native_layer_norm_backward", {"input", "weight", "bias"}},
    {"native_group_norm_backward", {"input", "weight", "bias"}},
    {"linear_backward", {"input", "weight", "bias"}},
    {"mkldnn_linear_backward", {"input", "weight", "bias"}},
    {"batch_norm_relu_backward", {"input", "residual", "weight", "bias"}},
    {"_scaled_dot_product_flash_attention_for_cpu_backward", {"query", "key", "value"}},
    {"embedding_dense_backward", {"weight"}},
};
constexpr std::array<std::string_view, 4> kProducts = {"mm", "bmm", "matmul", "baddbmm"};

bool is_one_of(std::string_view name, const auto& names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// "layer1.conv" of "layer1.conv.weight"; "" of a name of one part.
std::string_view module_name(std::string_view parameter) {
  const auto dot = parameter.rfind('.');
  return dot == std::string_view::npos ? std::string_view() : parameter.substr(0, dot);
}

bool is_weight(std::string_view name) { return name == "weight" || name.ends_with(".weight"); }

// "_softmax", "native_batch_norm", "conv2d", "nll_loss_nd" as a person says them.
std::string_view spoken(std::string_view name) {
  while (name.starts_with('_')) name.remove_prefix(1);
  for (std::string_view prefix : {"native_", "mkldnn_", "cudnn_"}) {
    if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
  }
  return name;
}

const char* address(const at::Tensor& tensor) {
  if (!tensor.defined() || !tensor.has_storage() || tensor.numel() == 0) return nullptr;
  return static_cast<const char*>(tensor.const_data_ptr());
}

// The outermost operation around this one within its node or scope; itself if there is none.
const OperationCall& outermost_operation(const OperationCall& call) {
  const OperationCall* found = &call;
  while (found->outer && found->outer->kind == Kind::operation) found = found->outer;
  return *found;
}

std::string shown_operation(const OperationCall& call) {
  const OperationCall& outermost = outermost_operation(call);
  if (same_operation(outermost.name, call.name)) return call.name;
  return outermost.name + " (" + call.name + ")";
}

std::string gradient_of(const OperationCall& call, bool reads_parameter, std::size_t output,
                        std::size_t outputs) {
  for (const Gradients& each : kGradients) {
    if (each.operation == call.name && output < each.of.size() && !each.of[output].empty()) {
      return ", gradient of " + std::string(each.of[output]);
    }
  }
  if (call.name.find("backward") != std::string::npos && outputs == 1) return ", gradient of input";
  // A product's gradients are products: that with the weight goes to the input.
  if (is_one_of(call.name, kProducts)) {
    return reads_parameter ? ", gradient of input" : ", gradient of weight";
  }
  return outputs > 1 ? ", output " + std::to_string(output) : "";
}

}  // namespace

bool same_operation(std::string_view a, std::string_view b) {
  a = spoken(a);
  b = spoken(b);
  if (a.starts_with(b) || b.starts_with(a)) return true;
  return a.substr(0, kSamePrefix) == b.substr(0, kSamePrefix);
}

TensorNames::TensorNames(const torch::nn::Module& module) {
  for (const auto& item : module.named_parameters()) add_part(item.value(), item.key(), false);
  for (const auto& item : module.named_buffers()) add_part(item.value(), item.key(), true);
}

// The first of several names of the same memory stays.
void TensorNames::add_part(const at::Tensor& tensor, const std::string& name, bool buffer) {
  const char* begin = address(tensor);
  if (!begin || !tensor.is_non_overlapping_and_dense()) return;
  parts_.try_emplace(begin, Part{begin + tensor.nbytes(), name, buffer});
}

std::string TensorNames::find(const at::Tensor& tensor) const {
  const char* begin = address(tensor);
  if (!begin) return "";
  auto part = parts_.upper_bound(begin);
  if (part == parts_.begin()) return "";
  --part;
  return begin < part->second.end ? part->second.name : "";
}

bool TensorNames::is_buffer(const std::string& name) const {
  return std::any_of(parts_.begin(), parts_.end(), [&](const auto& part) {
    return part.second.buffer && part.second.name == name;
  });
}

void TensorNames::add_guest(const at::Tensor& tensor, const std::string& name) {
  const char* begin = address(tensor);
  if (!begin || parts_.contains(begin)) return;
  add_part(tensor, name, true);
  copies_.emplace_back(tensor, begin);
  guests_.push_back(name);
}

bool TensorNames::is_guest(const std::string& name) const {
  return std::find(guests_.begin(), guests_.end(), name) != guests_.end();
}

void TensorNames::add_copy(const at::Tensor& copy, const std::string& name) {
  const char* begin = address(copy);
  if (!begin || parts_.contains(begin)) return;
  add_part(copy, name, false);
  copies_.emplace_back(copy, begin);
}

void TensorNames::forget_copies() {
  for (const auto& [tensor, begin] : copies_) parts_.erase(begin);
  copies_.clear();
  guests_.clear();
}

OperationNames::OperationNames(const torch::nn::Module& module) : tensors_(module) {
  for (const auto& item : module.named_parameters()) parameters_.insert(item.key());
}

void OperationNames::begin_pass() {
  tensors_.forget_copies();
  forward_.clear();
  counts_.clear();
  last_parameter_.clear();
  producers_.clear();
  last_node_ = {};
  in_backward_ = false;
}

std::string OperationNames::count(const std::string& text) {
  const int count = ++counts_[text];
  return count == 1 ? "" : " #" + std::to_string(count);
}

OperationNames::Known OperationNames::begin(const OperationCall& call, const Known* known_outer) {
  Known known;
  if (call.kind == Kind::node) in_backward_ = true;
  known.backward = in_backward_;
  if (call.kind == Kind::node) {
    known.forward = forward_of(call);
  } else if (in_backward_) {
    known.forward = known_outer ? known_outer->forward : nullptr;
    if (!call.enclosing(Kind::node) && !last_node_.operation.empty()) known.forward = &last_node_;
  }
  for (const at::Tensor& input : call.inputs) {
    const std::string name = tensors_.find(input);
    if (name.empty() || tensors_.is_guest(name)) continue;
    const bool better = known.parameter.empty() || (is_weight(name) && !is_weight(known.parameter));
    if (better) known.parameter = name;
  }
  known.before =
      in_backward_ ? (known.forward ? known.forward->before : "") : find_producer(call, known);
  if (call.kind == Kind::scope) {
    known.place = {call.name};
  } else if (known.forward) {
    known.place = known.forward->place;
  } else if (!known.parameter.empty()) {
    known.place = {known.parameter};
  } else if (known_outer) {
    known.place = known_outer->place;
  } else {
    known.place = last_parameter_.empty() ? OperationPlace{kStart}
                                          : OperationPlace{last_parameter_, /*after=*/true};
  }
  if (call.kind == Kind::operation && !in_backward_) {
    known.occurrence = count(known.place.text() + " " + shown_operation(call));
  } else if (known.forward) {
    known.occurrence = known.forward->occurrence;
  }
  return known;
}

void OperationNames::end(const OperationCall& call, const Known& known,
                         const std::vector<at::Tensor>& outputs) {
  if (call.kind == Kind::node) {
    if (known.forward) last_node_ = *known.forward;
    return;
  }
  if (call.kind != Kind::operation) return;
  if (is_one_of(call.name, kCasts) && !call.inputs.empty() && outputs.size() == 1) {
    const std::string name = tensors_.find(call.inputs[0]);
    if (!name.empty()) tensors_.add_copy(outputs[0], name);
  }
  if (known.backward) return;
  if (!known.parameter.empty()) last_parameter_ = known.parameter;
  remember_producer(known, outputs);
  remember_forward(call, known);
}

// The innermost operation ends first, and made the nodes that have no name yet: Autocast's wrappers
// cast, each cast with a node, and run the operation itself unrecorded. A custom function
// (torch::autograd::Function) makes its node and then runs without gradients.
void OperationNames::remember_forward(const OperationCall& call, const Known& known) {
  const ForwardOperation forward{known.place, call.name, known.occurrence, known.before};
  if (call.with_gradients) {
    for (std::uint64_t node = call.sequence; node < at::sequence_number::peek(); ++node) {
      forward_.try_emplace({call.thread, node}, forward);
    }
  } else if (call.sequence > 0 && !call.name.starts_with("empty")) {
    forward_.try_emplace({call.thread, call.sequence - 1}, forward);
  }
}

const ForwardOperation* OperationNames::forward_of(const OperationCall& node) const {
  const auto found = forward_.find({node.thread, node.sequence});
  return found == forward_.end() ? nullptr : &found->second;
}

std::string OperationNames::find_producer(const OperationCall& call, const Known& known) const {
  for (const at::Tensor& input : call.inputs) {
    if (!input.has_storage()) continue;
    const auto made = producers_.find(input.storage().data());
    if (made == producers_.end()) continue;
    if (known.parameter.empty() || module_name(made->second) != module_name(known.parameter)) {
      return made->second;
    }
  }
  return "";
}

void OperationNames::remember_producer(const Known& known, const std::vector<at::Tensor>& outputs) {
  for (const at::Tensor& output : outputs) {
    if (!output.defined() || !output.has_storage()) continue;
    const std::string& made = known.parameter.empty() ? known.before : known.parameter;
    if (made.empty()) {
      producers_.erase(output.storage().data());
    } else {
      producers_[output.storage().data()] = made;
    }
  }
}

std::string OperationNames::name(const OperationCall& call, const Known& known, std::size_t output,
                                 std::size_t outputs) const {
  const std::string place = known.place.text() + " · ";
  if (!known.backward) {
    return place + shown_operation(call) + known.occurrence +
           (outputs > 1 ? ", output " + std::to_string(output) : "");
  }
  const std::string gradient = gradient_of(call, !known.parameter.empty(), output, outputs);
  if (call.name.find("backward") != std::string::npos) {
    return place + call.name + known.occurrence + gradient;
  }
  if (known.forward) {
    return place + known.forward->operation + known.occurrence + " backward (" + call.name + ")" +
           gradient;
  }
  const OperationCall* node = call.enclosing(Kind::node);
  return place + (node ? node->name : "backward") + " (" + call.name + ")" + gradient;
}

}  // namespace halftone::numerics
