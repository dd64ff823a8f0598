#include "halftone/train/calibrated_precision.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <optional>
#include <utility>

#include "halftone/ops/state_reader.h"

namespace halftone {
namespace {

constexpr std::int64_t kLongestCalm = 1'000'000'000;  // calibrations: never, and doubling it fits

std::string error_text(const RaisableOperation& operation) {
  const std::string alone = "alone in " + operation.from + " it ";
  if (!std::isfinite(operation.error.loss)) return alone + "is not finite";
  char text[80];
  std::snprintf(text, sizeof text, "puts the loss off by %.2g %%, the gradient by %.2g %%",
                100 * operation.error.loss, 100 * operation.error.gradient);
  return alone + text;
}

void sort_by_error(std::vector<RaisableOperation>& operations) {
  std::stable_sort(operations.begin(), operations.end(), [](const auto& a, const auto& b) {
    return std::pair(a.error.loss, a.error.gradient) > std::pair(b.error.loss, b.error.gradient);
  });
}

}  // namespace

CalibrationReport CalibratedPrecision::calibrate(std::int64_t step, GapSource& source) {
  const auto start = std::chrono::steady_clock::now();
  const CalibrationPolicy& rule = *base_.calibrate;
  CalibrationReport report;
  report.step = step;
  report.found = report.left = source.gap(policy());
  const double over = report.found.over_bound(rule);
  std::erase_if(records_, [step](const auto& each) {
    return !each.second.raised && step > each.second.probation;
  });
  for (auto& [target, record] : records_) record.calm = over <= rule.release ? record.calm + 1 : 0;
  if (std::isnan(over)) {
    report.note = report.found.text(rule);
  } else if (over > 1) {
    raise(source, report);
  } else if (over <= rule.release) {
    lower(source, report);
  }
  report.raised = static_cast<std::int64_t>(moved().size());
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

void CalibratedPrecision::raise(GapSource& source, CalibrationReport& report) {
  const CalibrationPolicy& rule = *base_.calibrate;
  auto operations = source.raisable(policy());
  if (operations.empty()) {
    report.note = report.found.text(rule) + "; no operation is left to go up";
    return;
  }
  MovedFormats all = moved();
  for (const RaisableOperation& each : operations) all[each.target] = Format::fp32;
  const FormatGap least = source.gap(with_moved(base_, all));
  const double rest = least.over_bound(rule);  // of the weights as they are stored
  // Both may be infinite.
  const auto can_help = [&] { return report.left.over_bound(rule) - rest > 1; };
  if (!can_help()) {
    report.note = report.found.text(rule) + "; with all operations in fp32 " + least.text(rule);
    return;
  }
  source.measure(policy(), operations);
  sort_by_error(operations);
  for (const RaisableOperation& each : operations) {
    if (!can_help()) break;
    raise_one(each, source, report);
  }
}

void CalibratedPrecision::raise_one(const RaisableOperation& operation, GapSource& source,
                                    CalibrationReport& report) {
  const CalibrationPolicy& rule = *base_.calibrate;
  Record& record = records_[operation.target];
  const bool again = record.probation >= report.step;
  if (!record.raised) record.own = operation.from;
  record.wait = again ? std::min(2 * record.wait, kLongestCalm) : rule.patience;
  record.raised = true;
  record.to = operation.to;
  record.calm = record.probation = 0;
  const std::string to = format_name(operation.to);
  std::string reason = report.left.text(rule) + "; " + error_text(operation);
  report.left = source.gap(policy());
  reason += "; with it in " + to + " " + report.left.text(rule);
  if (again) reason += "; up again, for " + std::to_string(record.wait) + " small gaps";
  report.moves.push_back({report.step, operation.target.match, operation.from, to, reason});
}

// The one that costs least. Where each would cost too much, they are not asked for twice as long.
void CalibratedPrecision::lower(GapSource& source, CalibrationReport& report) {
  const CalibrationPolicy& rule = *base_.calibrate;
  std::optional<RuleTarget> best;
  FormatGap least;
  for (const auto& [target, record] : records_) {
    if (!record.raised || record.calm < record.wait) continue;
    MovedFormats without = moved();
    without.erase(target);
    const FormatGap gap = source.gap(with_moved(base_, without));
    if (best && !(gap.over_bound(rule) < least.over_bound(rule))) continue;
    best = target;
    least = gap;
  }
  if (!best) return;
  if (!(least.over_bound(rule) <= rule.release)) {
    for (auto& [target, record] : records_) {
      if (!record.raised || record.calm < record.wait) continue;
      record.wait = std::min(2 * record.wait, kLongestCalm);
      record.calm = 0;
    }
    return;
  }
  Record& record = records_[*best];
  report.moves.push_back({report.step, best->match, format_name(record.to), record.own,
                          report.found.text(rule) + ", small for " + std::to_string(record.calm) +
                              (record.calm == 1 ? " calibration" : " calibrations") +
                              "; with it in " + record.own + " " + least.text(rule)});
  report.left = least;
  record.raised = false;
  record.calm = 0;
  record.probation = report.step + record.wait * rule.every;
}

MovedFormats CalibratedPrecision::moved() const {
  MovedFormats moved;
  for (const auto& [target, record] : records_) {
    if (record.raised) moved.emplace(target, record.to);
  }
  return moved;
}

StateDict CalibratedPrecision::state_dict() const {
  return write_targets(records_, [](StateDict& one, const Record& record) {
    one.insert("raised", record.raised);
    one.insert("to", std::string(format_name(record.to)));
    one.insert("own", record.own);
    one.insert("wait", record.wait);
    one.insert("calm", record.calm);
    one.insert("probation", record.probation);
  });
}

void CalibratedPrecision::load_state_dict(const StateDict& state) {
  std::map<RuleTarget, Record> records;
  read_targets(state, "calibrate", [&](const RuleTarget& target, StateReader& reader) {
    Record& record = records[target];
    record.raised = reader.boolean("raised");
    record.to = parse_format(reader.text("to"), "calibrate." + target.match + ".to");
    record.own = reader.text("own");
    record.wait = reader.integer("wait");
    record.calm = reader.integer("calm");
    record.probation = reader.integer("probation");
  });
  records_ = std::move(records);
}

}  // namespace halftone
