// What a metric is called, which way it is better and how it is shown; and a value of one.
#pragma once

#include <string>
#include <vector>

#include "halftone/base/export.h"

namespace halftone::metrics {

// Plain data.
struct MetricKind {
  std::string name;              // of keys and files: "accuracy", "rmse", "cross_entropy"
  std::string title = {};        // for people; empty: the name with spaces
  std::string unit = {};         // "nats/character"; not for shares
  bool share = false;            // 0 to 1, shown in percent; differences in points
  bool higher_is_better = true;  // false: of a loss, an error, a distance
  int decimals = 4;              // shown; of a share: 2 of the percentage

  bool operator==(const MetricKind&) const = default;
};

struct MetricValue {
  MetricKind kind;
  double value = 0;
};

// A classifier's share of right answers: what most tasks' first metric is.
HALFTONE_API MetricKind accuracy_kind();

HALFTONE_API std::string title(const MetricKind& kind);
// "91.20 %", "1.5873 nats/character", "0.9412".
HALFTONE_API std::string show(const MetricKind& kind, double value);
// With its sign: "+0.28 points", "-0.0031 nats/character".
HALFTONE_API std::string show_difference(const MetricKind& kind, double difference);
// True where `a` is the better of the two; false where either is NaN.
HALFTONE_API bool better(const MetricKind& kind, double a, double b);

// The value called `name`; NaN where there is none.
HALFTONE_API double value_of(const std::vector<MetricValue>& values, const std::string& name);

}  // namespace halftone::metrics
