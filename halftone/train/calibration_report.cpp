#include "halftone/train/calibration_report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "halftone/base/text.h"

namespace halftone {
namespace {

constexpr double kUnbounded = std::numeric_limits<double>::infinity();
constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

double gap_between(double value, double reference) {
  if (!std::isfinite(reference)) return kUnknown;
  return std::isfinite(value) ? std::abs(value - reference) : kUnbounded;
}

std::string in_percent(double share) {
  char text[40];
  std::snprintf(text, sizeof text, "%.2g %%", 100 * share);
  return text;
}

// "the loss is 5 % off fp32's (bound 1 %)".
std::string gap_text(const std::string& name, double gap, const std::string& shown_gap,
                     const std::string& shown_bound, Format reference) {
  const std::string theirs = std::string(format_name(reference)) + "'s";
  if (std::isnan(gap)) return name + " is not finite in " + format_name(reference);
  if (std::isinf(gap)) return name + " is not finite, " + theirs + " is";
  return name + " is " + shown_gap + " off " + theirs + " (bound " + shown_bound + ")";
}

// Without the sign.
std::string magnitude_text(const metrics::MetricKind& kind, double difference) {
  return metrics::show_difference(kind, difference).substr(1);
}

}  // namespace

double FormatGap::loss_gap() const {
  const double gap = gap_between(loss, reference_loss);
  return gap == 0 ? 0
                  : gap / std::max(std::abs(reference_loss), std::numeric_limits<double>::min());
}

double FormatGap::metric_gap() const {
  return metric ? gap_between(metric->value, reference_metric) : 0;
}

double FormatGap::over_bound(const CalibrationPolicy& rule) const {
  const double of_loss = rule.loss_bound > 0 ? loss_gap() / rule.loss_bound : 0;
  const double of_metric = rule.metric_bound > 0 ? metric_gap() / rule.metric_bound : 0;
  if (std::isnan(of_loss) || std::isnan(of_metric)) return kUnknown;
  return std::max(of_loss, of_metric);
}

std::string FormatGap::text(const CalibrationPolicy& rule) const {
  std::vector<std::string> parts;
  if (rule.loss_bound > 0) {
    parts.push_back(gap_text("the loss", loss_gap(), in_percent(loss_gap()),
                             in_percent(rule.loss_bound), rule.reference));
  }
  if (rule.metric_bound > 0 && metric) {
    parts.push_back(gap_text(metrics::title(metric->kind), metric_gap(),
                             magnitude_text(metric->kind, metric_gap()),
                             magnitude_text(metric->kind, rule.metric_bound), rule.reference));
  }
  return join(parts);
}

Json CalibrationReport::to_json() const {
  Json line;
  line["type"] = "calibration";
  line["step"] = step;
  line["loss"] = found.loss;
  line["reference_loss"] = found.reference_loss;
  line["loss_gap"] = found.loss_gap();
  if (found.metric) {
    line[found.metric->kind.name] = found.metric->value;
    line["reference_" + found.metric->kind.name] = found.reference_metric;
  }
  line["loss_gap_left"] = left.loss_gap();
  line["moves"] = static_cast<std::int64_t>(moves.size());
  line["raised"] = raised;
  if (!note.empty()) line["note"] = note;
  line["seconds"] = seconds;
  return line;
}

}  // namespace halftone
