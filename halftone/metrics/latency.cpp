#include "halftone/metrics/latency.h"

#include <algorithm>

#include "halftone/base/error.h"
#include "halftone/base/text.h"

namespace halftone::metrics {

double Latency::percentile(double percent) const {
  if (!(percent >= 0 && percent <= 100)) {
    throw Error(format_number(percent), "a number from 0 to 100", "percentile");
  }
  if (values_.empty()) return 0;
  auto values = values_;
  const double place = percent / 100 * static_cast<double>(values.size() - 1);
  const auto below = values.begin() + static_cast<std::ptrdiff_t>(place);
  std::nth_element(values.begin(), below, values.end());
  const double fraction = place - static_cast<double>(below - values.begin());
  if (fraction == 0) return *below;
  const double above = *std::min_element(below + 1, values.end());
  return *below + fraction * (above - *below);
}

}  // namespace halftone::metrics
