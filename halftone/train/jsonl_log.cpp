#include "halftone/base/error.h"
#include "halftone/base/json.h"
#include "halftone/numerics/fault_report.h"
#include "halftone/numerics/range_report.h"
#include "halftone/train/calibration_report.h"
#include "halftone/train/callbacks.h"

namespace halftone {
namespace {

// The whole lines of steps up to `last_step`. A line that is torn (the last one, after a kill) or
// foreign is dropped.
std::string lines_up_to(const std::string& content, std::int64_t last_step) {
  std::string kept;
  for (std::size_t begin = 0, end; begin < content.size(); begin = end + 1) {
    end = content.find('\n', begin);
    if (end == std::string::npos) break;
    const auto line = std::string_view(content).substr(begin, end - begin);
    try {
      if (Json::parse(line).at("step").as_int() > last_step) continue;
    } catch (const Error&) {
      continue;
    }
    kept.append(line).push_back('\n');
  }
  return kept;
}

// Empty, or what a resumed run keeps of it.
std::unique_ptr<AppendFile> open_log(const std::filesystem::path& path, const RunInfo& run) {
  if (path.has_parent_path()) make_directories(path.parent_path());
  if (run.resumed && std::filesystem::exists(path))
    write_file(path, lines_up_to(read_file(path), run.first_step));
  return std::make_unique<AppendFile>(path, /*truncate=*/!run.resumed);
}

}  // namespace

void JsonlLog::on_start(const RunInfo& run) { file_ = open_log(path_, run); }
void RangeLog::on_start(const RunInfo& run) { file_ = open_log(path_, run); }

void RangeLog::on_ranges(const numerics::RangeReport& ranges) {
  file_->append(ranges.to_json().dump() + "\n");
}

void JsonlLog::on_step(const StepInfo& step) {
  Json line;
  line["type"] = "step";
  line["step"] = step.step;
  line["epoch"] = step.epoch;
  line["loss"] = step.loss;
  line["lr"] = step.lr;
  line["scale"] = step.scale;
  line["grad_norm"] = step.grad_norm;
  line["applied"] = step.applied;
  if (!step.applied) line["first_non_finite"] = step.first_non_finite;
  line["samples"] = step.samples;
  line["step_ms"] = step.step_ms;
  line["wait_ms"] = step.wait_ms;
  file_->append(line.dump() + "\n");
}

void JsonlLog::on_fault(const numerics::FaultReport& fault) {
  file_->append(fault.to_json().dump() + "\n");
}

void JsonlLog::on_calibration(const CalibrationReport& calibration) {
  file_->append(calibration.to_json().dump() + "\n");
}

void JsonlLog::on_switch(const PrecisionSwitch& change) {
  Json line;
  line["type"] = "switch";
  line["step"] = change.step;
  line["name"] = change.name;
  line["from"] = change.from;
  line["to"] = change.to;
  line["reason"] = change.reason;
  file_->append(line.dump() + "\n");
}

void JsonlLog::on_evaluation(const Evaluation& evaluation) {
  Json line;
  line["type"] = "evaluation";
  line["step"] = evaluation.step;
  line["epoch"] = evaluation.epoch;
  line["loss"] = evaluation.loss;
  for (const auto& [kind, value] : evaluation.metrics) line[kind.name] = value;
  line["samples"] = evaluation.samples;
  line["seconds"] = evaluation.seconds;
  line["best"] = evaluation.best;
  file_->append(line.dump() + "\n");
}

}  // namespace halftone
