#include "halftone/numerics/fault_report.h"

#include "halftone/base/text.h"

namespace halftone::numerics {
namespace {

Json json_of(const TensorRange& range) {
  Json json;
  json["format"] = range.format;
  Json shape = Json::array();
  for (const std::int64_t size : range.shape) shape.push_back(size);
  json["shape"] = std::move(shape);
  if (!range.floating) return json;
  json["low"] = range.low;
  json["high"] = range.high;
  json["zeros"] = range.zeros;
  json["nans"] = range.nans;
  json["positive_infinities"] = range.positive_infinities;
  json["negative_infinities"] = range.negative_infinities;
  return json;
}

}  // namespace

const char* fault_kind_name(FaultKind kind) {
  switch (kind) {
    case FaultKind::operation:
      return "operation";
    case FaultKind::tensor:
      return "tensor";
    case FaultKind::transient:
      return "transient";
    case FaultKind::unexplained:
      return "unexplained";
    case FaultKind::failed:
      return "failed";
  }
  return "?";
}

std::string FaultReport::headline() const {
  switch (fault.kind) {
    case FaultKind::operation:
      return "first not finite: " + fault.name + " (" + fault.output.format + ")";
    case FaultKind::tensor:
      return "not finite before anything read it: " + fault.name;
    case FaultKind::transient:
      return fault.name.empty()
                 ? "transient: " + std::to_string(replays) +
                       " replays did not show it and agree bit for bit"
                 : "transient: the same inputs gave other bits, first in " + fault.name;
    case FaultKind::unexplained:
      return "no operation that LibTorch records made it";
    case FaultKind::failed:
      return "the replay failed: " + fault.error;
  }
  return "?";
}

std::string FaultReport::text() const {
  std::string text = "step " + std::to_string(step) + ": " + symptom;
  if (loss_scale != 1) text += ", loss scale " + format_number(loss_scale);
  text += "\n  " + headline();
  if (micro_batches > 1) {
    text += ", micro-batch " + std::to_string(fault.micro_batch + 1) + " of " +
            std::to_string(micro_batches);
  }
  for (std::size_t i = 0; i < fault.inputs.size(); ++i) {
    text += "\n    input " + std::to_string(i) + "  " + fault.inputs[i].text();
  }
  if (!fault.output.format.empty()) {
    text += (fault.kind == FaultKind::tensor ? "\n    tensor   " : "\n    output   ") +
            fault.output.text();
  }
  if (!fault.underflow.empty()) text += "\n    zeros underflowed in " + fault.underflow;
  for (const std::string& hint : hints) text += "\n  hint: " + hint;
  return text;
}

Json FaultReport::to_json() const {
  Json json;
  json["type"] = "fault";
  json["step"] = step;
  json["symptom"] = symptom;
  json["kind"] = fault_kind_name(fault.kind);
  json["name"] = fault.name;
  json["operation"] = fault.operation;
  json["pass"] = fault.backward ? "backward" : "forward";
  json["micro_batch"] = fault.micro_batch;
  Json inputs = Json::array();
  for (const TensorRange& each : fault.inputs) inputs.push_back(json_of(each));
  json["inputs"] = std::move(inputs);
  if (!fault.output.format.empty()) json["output"] = json_of(fault.output);
  if (!fault.underflow.empty()) json["underflow"] = fault.underflow;
  if (!fault.error.empty()) json["error"] = fault.error;
  json["loss_scale"] = loss_scale;
  json["lr"] = learning_rate;
  Json list = Json::array();
  for (const std::string& hint : hints) list.push_back(hint);
  json["hints"] = std::move(list);
  json["replays"] = replays;
  json["replay_ms"] = replay_ms;
  return json;
}

}  // namespace halftone::numerics
