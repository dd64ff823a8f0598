#include "halftone/report/axis.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace halftone::report {
namespace {

double nice_step(double range, int count) {
  const double raw = range / std::max(1, count - 1);
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  const double fraction = raw / power;
  if (fraction < 1.5) return power;
  if (fraction < 3.5) return 2 * power;
  if (fraction < 7.5) return 5 * power;
  return 10 * power;
}

std::string tick_label(double value, double step) {
  const int decimals = std::max(0, static_cast<int>(-std::floor(std::log10(step) + 1e-9)));
  char text[64];
  if (std::abs(value) < step / 2) value = 0;  // no "-0"
  if (std::abs(value) >= 1e6) {
    std::snprintf(text, sizeof text, "%.4g", value);
  } else {
    std::snprintf(text, sizeof text, "%.*f", decimals, value);
  }
  return text;
}

}  // namespace

Axis make_axis(double low, double high, int count) {
  if (high <= low) {
    const double room = low == 0 ? 1 : std::abs(low) * 0.1;
    low -= room;
    high += room;
  }
  Axis axis;
  axis.low = low;
  axis.high = high;
  axis.step = nice_step(high - low, count);
  const double slack = axis.step * 1e-6;
  for (double n = std::ceil((low - slack) / axis.step); n * axis.step <= high + slack; ++n) {
    axis.ticks.push_back(n * axis.step);
    axis.labels.push_back(tick_label(n * axis.step, axis.step));
  }
  return axis;
}

}  // namespace halftone::report
