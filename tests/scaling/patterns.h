// The scripted overflow patterns of tests/goldens/grad_scaler.py, drawn by the same generator.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "halftone/precision/policy.h"

namespace halftone {

struct OverflowPattern {
  LossScalePolicy policy;
  int optimizers;
  std::vector<std::vector<bool>> steps;  // [iteration][optimizer]: it overflows
};

class Draw {
 public:
  explicit Draw(std::uint64_t seed) : x_(seed) {}

  std::uint64_t operator()(std::uint64_t k) {
    x_ = x_ * 6364136223846793005u + 1442695040888963407u;
    return (x_ >> 33) % k;
  }

 private:
  std::uint64_t x_;
};

inline OverflowPattern overflow_pattern(std::uint64_t p) {
  constexpr double kInits[] = {65536, 1, 1024, 0x1p24, 0x1p100, 0x1p120};
  constexpr double kGrowths[] = {2, 2, 1.5, 4};
  constexpr double kBackoffs[] = {0.5, 0.5, 0.75, 0.6};
  constexpr std::uint64_t kRates[] = {0, 5, 20, 50, 100, 300, 700, 1000};
  Draw draw(p);
  for (int i = 0; i < 4; ++i) draw(2);
  OverflowPattern pattern;
  LossScalePolicy& policy = pattern.policy;
  policy.kind = LossScaling::dynamic;
  policy.min = 0x1p-126;  // Python has no floor and no ceiling
  policy.max = 0x1p127;
  policy.init = kInits[draw(6)];
  policy.growth_factor = kGrowths[draw(4)];
  policy.backoff_factor = kBackoffs[draw(4)];
  policy.growth_interval = static_cast<std::int64_t>(1 + draw(40));
  std::uint64_t rate = kRates[draw(8)];
  std::uint64_t length = 20 + draw(90);
  pattern.optimizers = static_cast<int>(1 + draw(2));
  if (policy.init >= 0x1p100) {
    policy.growth_factor = 2;
    policy.backoff_factor = 0.5;
  }
  if (p % 500 == 0) {
    policy.init = 65536;
    policy.growth_factor = 2;
    policy.backoff_factor = 0.5;
    policy.growth_interval = 2000;
    rate = std::min<std::uint64_t>(rate, 5);
    length = 5000;
  }
  for (std::uint64_t i = 0; i < length; ++i) {
    auto& step = pattern.steps.emplace_back();
    for (int k = 0; k < pattern.optimizers; ++k) step.push_back(draw(1000) < rate);
  }
  return pattern;
}

}  // namespace halftone
