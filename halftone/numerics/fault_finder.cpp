#include "halftone/numerics/fault_finder.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "halftone/base/crc32c.h"
#include "halftone/base/text.h"

namespace halftone::numerics {
namespace {

constexpr int kNone = -1;

// Their first input's values don't matter, and may be garbage.
constexpr std::array<std::string_view, 10> kOverwriting = {
    "copy_",   "fill_",      "zero_", "uniform_",     "normal_",
    "random_", "bernoulli_", "set_",  "exponential_", "resize_"};

// Their results may be so small that a format rounds them to zero; zeros of other operations (a
// ReLU, a mask, a difference) are meant.
constexpr std::string_view kUnderflowing =
    "exp exp_ exp2 mul mul_ div div_ pow pow_ square prod sigmoid *softmax* _to_copy copy_ mean "
    "var "
    "mm addmm bmm matmul convolution convolution_backward reciprocal *_backward_data "
    "sigmoid_backward";
// What is singular at zero.
constexpr std::string_view kSingular =
    "div div_ log log_ log2 log10 reciprocal rsqrt rsqrt_ pow xlogy true_divide sqrt_backward "
    "binary_cross_entropy*";

const void* memory_of(const at::Tensor& tensor) {
  return tensor.has_storage() ? tensor.storage().data() : nullptr;
}

bool measurable(const at::Tensor& tensor) {
  return tensor.defined() && tensor.layout() == at::kStrided &&
         (tensor.is_floating_point() || tensor.is_complex());
}

std::uint32_t checksum_of(const at::Tensor& tensor) {
  const at::Tensor bytes = tensor.detach().to(at::kCPU).contiguous();
  return crc32c(bytes.const_data_ptr(), bytes.nbytes());
}

// "batch", "parameter" or "buffer": what the hints know of a tensor.
std::string tensor_kind(const TensorNames& names, const std::string& name) {
  if (names.is_guest(name)) return "batch";
  return names.is_buffer(name) ? "buffer" : "parameter";
}

}  // namespace

struct FaultFinder::Notes final : CallNotes {
  OperationNames::Known known;
  std::vector<TensorRange> ranges;  // of the inputs
  at::Tensor bad_input;             // the first that is not finite; undefined: none
  TensorRange bad_range;
  bool zeros = false;      // in an input, or as a factor
  std::string underflow;   // the operation that an input's zeros came from
  std::int64_t begun = 0;  // after so many operations
  std::size_t faults = 0;  // before it
};

FaultFinder::FaultFinder(const torch::nn::Module& module, FaultFinderOptions options)
    : options_(options), names_(module) {}
FaultFinder::~FaultFinder() = default;

void FaultFinder::begin_pass(std::int64_t micro_batch,
                             const std::vector<std::pair<at::Tensor, std::string>>& named) {
  micro_batch_ = micro_batch;
  names_.begin_pass();
  for (const auto& [tensor, name] : named) names_.tensors().add_guest(tensor, name);
}

// A number that is not finite and that no watched operation made: a fault of the tensor itself.
int FaultFinder::origin_of(const OperationCall& call, const Notes& notes) {
  const at::Tensor& input = notes.bad_input;
  const auto known = bad_.find(memory_of(input));
  if (known != bad_.end()) return known->second.fault;
  Fault fault;
  fault.kind = FaultKind::tensor;
  const std::string name = names_.tensors().find(input);
  fault.name = (name.empty() ? "an input" : name) + ", read by " + call.name;
  fault.operation = name.empty() ? "unknown" : tensor_kind(names_.tensors(), name);
  fault.backward = notes.known.backward;
  fault.output = notes.bad_range;
  fault.micro_batch = micro_batch_;
  faults_.push_back(std::move(fault));
  const int id = static_cast<int>(faults_.size()) - 1;
  bad_[memory_of(input)] = {id, operations_};
  return id;
}

void FaultFinder::begin(OperationCall& call) {
  auto notes = std::make_unique<Notes>();
  notes->begun = operations_;
  notes->faults = faults_.size();
  notes->zeros = call.zero_scalar && glob_match_any("mul mul_", call.name);
  const auto* outer = call.outer ? static_cast<const Notes*>(call.outer->notes.get()) : nullptr;
  notes->known = names_.begin(call, outer ? &outer->known : nullptr);
  if (call.kind != OperationCall::Kind::operation) {
    call.notes = std::move(notes);
    return;
  }
  const bool overwrites =
      std::find(kOverwriting.begin(), kOverwriting.end(), call.name) != kOverwriting.end();
  const std::size_t first = overwrites ? 1 : 0;
  const std::size_t last = call.inputs.size() - (call.out_variant && !call.inputs.empty() ? 1 : 0);
  for (std::size_t i = first; i < last; ++i) {
    const at::Tensor& input = call.inputs[i];
    notes->ranges.push_back(measure_range(input));
    const TensorRange& range = notes->ranges.back();
    if (!range.finite() && !notes->bad_input.defined()) {
      notes->bad_input = input;
      notes->bad_range = range;
    }
    if (range.zeros == 0) continue;
    const auto known = underflowed_.find(memory_of(input));
    if (known != underflowed_.end() && notes->underflow.empty()) {
      notes->underflow = known->second;
    }
    notes->zeros = true;
  }
  call.notes = std::move(notes);
}

void FaultFinder::end(OperationCall& call, const std::vector<at::Tensor>& outputs) {
  const auto* notes = static_cast<const Notes*>(call.notes.get());
  if (!notes) return;
  if (call.kind == OperationCall::Kind::operation) {
    ++operations_;
    const bool garbage = call.name.find("empty") != std::string::npos;
    for (std::size_t i = 0; i < outputs.size() && !garbage; ++i) {
      if (!measurable(outputs[i]) || is_view_of_input(call, outputs[i])) continue;
      look_at_output(call, *notes, outputs[i], i, outputs.size());
    }
  }
  names_.end(call, notes->known, outputs);
}

void FaultFinder::look_at_output(const OperationCall& call, const Notes& notes,
                                 const at::Tensor& output, std::size_t index, std::size_t outputs) {
  const TensorRange range = measure_range(output);
  const void* memory = memory_of(output);
  if (options_.trace) {
    trace_.push_back({names_.name(call, notes.known, index, outputs), checksum_of(output)});
  }
  look_at_zeros(call, notes, output, range, index, outputs);
  if (range.finite()) {
    bad_.erase(memory);
    return;
  }
  if (notes.bad_input.defined()) {
    bad_[memory] = {origin_of(call, notes), operations_};
    return;
  }
  // An operation inside this one ended before and has been blamed.
  const auto known = bad_.find(memory);
  if (known != bad_.end() && known->second.since > notes.begun) return;
  if (faults_.size() > notes.faults) {
    bad_[memory] = {static_cast<int>(notes.faults), operations_};
    return;
  }
  Fault fault;
  fault.kind = FaultKind::operation;
  fault.name = names_.name(call, notes.known, index, outputs);
  fault.operation = call.name;
  fault.backward = notes.known.backward;
  name_for_rules(notes.known, call, fault);
  fault.inputs = notes.ranges;
  fault.output = range;
  if (glob_match_any(kSingular, call.name)) fault.underflow = notes.underflow;
  fault.micro_batch = micro_batch_;
  faults_.push_back(std::move(fault));
  bad_[memory] = {static_cast<int>(faults_.size()) - 1, operations_};
}

void FaultFinder::name_for_rules(const OperationNames::Known& known, const OperationCall& call,
                                 Fault& fault) {
  const std::string& place = known.place.name;
  const bool parameter = !known.place.after && names_.is_parameter(place);
  fault.parameter = parameter ? place : "";
  fault.forward_operation = known.forward ? known.forward->operation : call.name;
  fault.parameter_before = known.before;
}

void FaultFinder::look_at_zeros(const OperationCall& call, const Notes& notes,
                                const at::Tensor& output, const TensorRange& range,
                                std::size_t index, std::size_t outputs) {
  const void* memory = memory_of(output);
  std::int64_t& looked_at = looked_at_[memory];
  if (std::exchange(looked_at, operations_) > notes.begun) return;  // by an operation inside
  underflowed_.erase(memory);
  if (range.zeros == 0) return;
  if (!notes.underflow.empty()) {
    underflowed_[memory] = notes.underflow;
  } else if (!notes.zeros && glob_match_any(kUnderflowing, call.name)) {
    underflowed_[memory] = names_.name(call, notes.known, index, outputs);
  }
}

std::optional<Fault> FaultFinder::fault(const std::vector<at::Tensor>& results) const {
  int first = kNone;
  bool all_finite = true;
  for (const at::Tensor& result : results) {
    if (!measurable(result) || measure_range(result).finite()) continue;
    all_finite = false;
    const auto found = bad_.find(memory_of(result));
    if (found != bad_.end() && (first == kNone || found->second.fault < first)) {
      first = found->second.fault;
    }
  }
  if (all_finite) return std::nullopt;
  if (first == kNone && !faults_.empty()) first = 0;
  if (first == kNone) return Fault{};
  return faults_[static_cast<std::size_t>(first)];
}

}  // namespace halftone::numerics
