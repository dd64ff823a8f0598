#include "halftone/numerics/operation_recorder.h"

#include <ATen/ATen.h>
#include <ATen/SequenceNumber.h>
#include <torch/nn/module.h>

#include <algorithm>
#include <cmath>

#include "halftone/base/text.h"

namespace halftone::numerics {
namespace {

using Kind = OperationCall::Kind;

// What casts, copies, or makes a tensor from nothing.
constexpr std::string_view kNotRecorded =
    "to _to_copy clone contiguous copy_ detach detach_ empty* zeros* ones* full* new_* rand* "
    "arange* "
    "zero_ fill_ bernoulli_ _autocast_to_*";

bool is_recorded(const OperationCall& call, const at::Tensor& output) {
  return output.defined() && output.layout() == at::kStrided && output.is_floating_point() &&
         output.numel() > 0 && !glob_match_any(kNotRecorded, call.name) &&
         !is_view_of_input(call, output);
}

double rms(const at::Tensor& tensor) {
  const double norm = at::linalg_vector_norm(tensor.to(at::kFloat)).item<double>();
  return norm / std::sqrt(static_cast<double>(std::max<std::int64_t>(1, tensor.numel())));
}

}  // namespace

struct OperationRecorder::Notes final : CallNotes {
  OperationNames::Known known;
  std::int64_t last_dim = 1;
  double input_rms = 0;
};

bool is_exponential(const std::string& operation) {
  return glob_match_any("*softmax* exp exp_ cross_entropy* *_with_logits sigmoid*", operation);
}

OperationRecorder::OperationRecorder(const torch::nn::Module& module) : names_(module) {
  for (const auto& item : module.named_parameters()) {
    const at::Tensor& parameter = item.value();
    if (!parameter.defined() || parameter.dim() == 0 || parameter.size(0) == 0) continue;
    row_lengths_[item.key()] = parameter.numel() / parameter.size(0);
  }
  names_.begin_pass();
}

OperationRecorder::~OperationRecorder() = default;

void OperationRecorder::begin(OperationCall& call) {
  auto notes = std::make_unique<Notes>();
  const auto* outer = call.outer ? static_cast<const Notes*>(call.outer->notes.get()) : nullptr;
  notes->known = names_.begin(call, outer ? &outer->known : nullptr);
  if (call.kind == Kind::node) {
    const auto made = nodes_.find({call.thread, call.sequence});
    const auto gradient = std::find_if(call.inputs.begin(), call.inputs.end(),
                                       [](const at::Tensor& each) { return each.defined(); });
    if (made != nodes_.end() && gradient != call.inputs.end()) {
      operations_[made->second].gradient = gradient->detach().clone();
    }
  } else if (!call.inputs.empty() && call.inputs[0].dim() > 0) {
    notes->last_dim = call.inputs[0].size(-1);
    if (is_exponential(call.name)) notes->input_rms = rms(call.inputs[0]);
  }
  call.notes = std::move(notes);
}

void OperationRecorder::end(OperationCall& call, const std::vector<at::Tensor>& outputs) {
  const auto* notes = static_cast<const Notes*>(call.notes.get());
  if (!notes) return;
  const bool of_program =
      call.kind == Kind::operation && !notes->known.backward && !call.enclosing(Kind::operation);
  if (of_program && !outputs.empty() && is_recorded(call, outputs[0])) {
    record(call, *notes, outputs[0]);
  }
  names_.end(call, notes->known, outputs);
}

void OperationRecorder::record(const OperationCall& call, const Notes& notes,
                               const at::Tensor& output) {
  RecordedOperation recorded;
  recorded.name = notes.known.place.text() + " · " + call.name + notes.known.occurrence;
  recorded.operation = call.name;
  recorded.parameter = notes.known.parameter;
  const auto row = row_lengths_.find(recorded.parameter);
  recorded.length = row == row_lengths_.end() ? notes.last_dim : row->second;
  recorded.input_rms = notes.input_rms;
  recorded.output = output.detach().clone();
  // The last node that it made is that of its output. A custom function makes its node first and
  // runs without gradients.
  const std::uint64_t made = call.with_gradients ? at::sequence_number::peek() : call.sequence;
  const std::uint64_t before = call.with_gradients ? call.sequence : call.sequence - 1;
  if (made > before && made > 0) nodes_.try_emplace({call.thread, made - 1}, operations_.size());
  operations_.push_back(std::move(recorded));
}

}  // namespace halftone::numerics
