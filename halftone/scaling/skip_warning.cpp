#include "halftone/scaling/skip_warning.h"

#include "halftone/base/text.h"

namespace halftone {
namespace {

std::string likely_reason(const LossScale& scale, double scale_before) {
  const std::string now = format_number(scale.value());
  switch (scale.kind()) {
    case LossScaling::none:
      return "nothing is scaled, so the loss itself is not finite, or the learning rate is too "
             "high";
    case LossScaling::fixed:
      return "the loss scale is fixed at " + now +
             ", which may be too high: try a lower or a dynamic one; otherwise the loss itself is "
             "not finite";
    case LossScaling::dynamic:
      break;
  }
  if (scale.at_floor()) {
    return "the loss scale is already at its floor " + now +
           ", so the loss itself is not finite, or the learning rate is too high";
  }
  if (scale.value() < scale_before) {
    return "the loss scale is still falling (from " + format_number(scale_before) + " to " + now +
           "), so it was too high: a lower initial scale saves these steps";
  }
  return "the loss scale " + now + " is too high and has not fallen yet (hysteresis)";
}

}  // namespace

std::string skip_warning(std::int64_t in_a_row, const std::string& first_non_finite,
                         const LossScale& scale, double scale_before) {
  return std::to_string(in_a_row) +
         " steps in a row were skipped because a gradient was not finite (first: " +
         first_non_finite + "); likely reason: " + likely_reason(scale, scale_before);
}

}  // namespace halftone
