#include "halftone/numerics/operation_timer.h"

#include <ATen/SequenceNumber.h>
#include <torch/nn/module.h>

#include "halftone/base/error.h"
#include "halftone/precision/cast_table.h"

namespace halftone::numerics {
namespace {

using Kind = OperationCall::Kind;

constexpr int kNotTimed = -1;

}  // namespace

// Of the calls that are timed; the others have none.
struct OperationTimer::Notes final : CallNotes {
  int place = kNotTimed;
  Clock::time_point start;
  Clock::duration own{};  // this sink's time when the call began
};

OperationTimer::OperationTimer(const torch::nn::Module& module) : module_(module) {
  if (module.parameters().empty()) {
    throw UsageError("a module without parameters", "one that trains", "operation timer");
  }
}

OperationTimer::~OperationTimer() = default;

void OperationTimer::begin_step() {
  tensors_ = std::make_unique<TensorNames>(module_);
  times_.assign(operations_.size(), {});
  nodes_.clear();
}

int OperationTimer::find_forward(const OperationCall& call) {
  if (!is_lowered(call.name)) return kNotTimed;
  LoweredOperation found;
  found.operation = call.name;
  const at::Tensor* parameter = nullptr;
  for (const at::Tensor& input : call.inputs) {
    const std::string name = tensors_->find(input);
    if (name.empty() || tensors_->is_buffer(name)) {
      if (found.input.empty()) found.input = input.sizes().vec();
    } else if (!parameter || input.dim() > parameter->dim()) {  // the weight, not the bias
      parameter = &input;
      found.parameter = name;
    }
  }
  if (parameter) found.weight = parameter->sizes().vec();
  const auto [known, added] =
      places_.try_emplace(found.name(), static_cast<int>(operations_.size()));
  if (added) {
    operations_.push_back(std::move(found));
    times_.emplace_back();
  }
  return known->second;
}

int OperationTimer::find(const OperationCall& call) {
  // What runs inside a timed call is part of it.
  for (const OperationCall* outer = call.outer; outer; outer = outer->outer) {
    if (outer->notes) return kNotTimed;
  }
  if (call.kind == Kind::operation) return find_forward(call);
  if (call.kind != Kind::node) return kNotTimed;
  const auto node = nodes_.find({call.thread, call.sequence});
  return node == nodes_.end() ? kNotTimed : node->second;
}

void OperationTimer::begin(OperationCall& call) {
  const auto entered = Clock::now();
  const int place = tensors_ ? find(call) : kNotTimed;
  std::unique_ptr<Notes> notes;
  if (place != kNotTimed) {
    notes = std::make_unique<Notes>();
    notes->place = place;
  }
  const auto left = Clock::now();
  own_ += left - entered;
  if (!notes) return;
  notes->own = own_;
  notes->start = left;
  call.notes = std::move(notes);
}

void OperationTimer::end(OperationCall& call, const std::vector<at::Tensor>&) {
  const auto entered = Clock::now();
  if (const auto* notes = static_cast<const Notes*>(call.notes.get())) {
    const std::chrono::duration<double, std::milli> taken =
        (entered - notes->start) - (own_ - notes->own);
    OperationTime& time = times_[static_cast<std::size_t>(notes->place)];
    (call.kind == Kind::node ? time.backward_ms : time.forward_ms) += taken.count();
    if (call.kind == Kind::operation && call.with_gradients) {
      // Casts make nodes of their own beside the operation's.
      for (std::uint64_t node = call.sequence; node < at::sequence_number::peek(); ++node) {
        nodes_[{call.thread, node}] = notes->place;
      }
    }
  }
  own_ += Clock::now() - entered;
}

}  // namespace halftone::numerics
