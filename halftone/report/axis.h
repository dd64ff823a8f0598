// Where an axis begins, ends and has its ticks.
#pragma once

#include <string>
#include <vector>

namespace halftone::report {

struct Axis {
  double low = 0, high = 1;
  double step = 0.2;
  std::vector<double> ticks;        // multiples of step within [low, high]
  std::vector<std::string> labels;  // one per tick, with as many decimals as the step needs
};

// Steps are 1, 2 or 5 times a power of ten, about `count` of them (Heckbert, "Nice numbers for
// graph labels", Graphics Gems, 1990). low == high is widened; count: at least 2.
Axis make_axis(double low, double high, int count);

}  // namespace halftone::report
