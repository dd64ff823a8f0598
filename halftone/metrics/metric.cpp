#include "halftone/metrics/metric.h"

#include <algorithm>
#include <cstdio>
#include <limits>

namespace halftone::metrics {
namespace {

std::string with_decimals(const char* format, int decimals, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, decimals, value);
  return text;
}

std::string with_unit(std::string number, const std::string& unit) {
  return unit.empty() ? number : number + " " + unit;
}

}  // namespace

MetricKind accuracy_kind() { return {.name = "accuracy", .share = true}; }

std::string title(const MetricKind& kind) {
  if (!kind.title.empty()) return kind.title;
  std::string words = kind.name;
  std::replace(words.begin(), words.end(), '_', ' ');
  return words;
}

std::string show(const MetricKind& kind, double value) {
  if (kind.share) return with_decimals("%.*f %%", 2, 100 * value);
  return with_unit(with_decimals("%.*f", kind.decimals, value), kind.unit);
}

std::string show_difference(const MetricKind& kind, double difference) {
  if (kind.share) return with_decimals("%+.*f points", 2, 100 * difference);
  return with_unit(with_decimals("%+.*f", kind.decimals, difference), kind.unit);
}

bool better(const MetricKind& kind, double a, double b) {
  return kind.higher_is_better ? a > b : a < b;
}

double value_of(const std::vector<MetricValue>& values, const std::string& name) {
  for (const MetricValue& each : values) {
    if (each.kind.name == name) return each.value;
  }
  return std::numeric_limits<double>::quiet_NaN();
}

}  // namespace halftone::metrics
