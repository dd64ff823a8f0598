// GradScaler against torch.amp.GradScaler: tests/goldens/grad_scaler.py.
#include <bit>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/scaling/fakes.h"
#include "tests/scaling/patterns.h"
#include "tests/support/test.h"

namespace halftone {
namespace {

struct Trajectory {
  std::int64_t skips = 0;
  std::vector<float> scales;  // after every update()
};

Trajectory run_scripted(const OverflowPattern& pattern) {
  GradScaler scaler(pattern.policy);
  scaler.set_skip_warning(0, 0);
  ScriptedOptimizer optimizers[2];
  Trajectory trajectory;
  for (const auto& overflows : pattern.steps) {
    for (int k = 0; k < pattern.optimizers; ++k) {
      optimizers[k].overflow = overflows[k];
      trajectory.skips += !scaler.step(optimizers[k]).applied;
    }
    scaler.update();
    trajectory.scales.push_back(static_cast<float>(scaler.loss_scale()));
  }
  return trajectory;
}

// The same with real gradients and LibTorch's own check.
Trajectory run_real(const OverflowPattern& pattern) {
  GradScaler scaler(pattern.policy);
  scaler.set_skip_warning(0, 0);
  const at::Tensor a = parameter({1}), b = parameter({1});
  torch::optim::SGD optimizers[] = {sgd({a}), sgd({b})};
  Trajectory trajectory;
  for (const auto& overflows : pattern.steps) {
    for (int k = 0; k < pattern.optimizers; ++k) {
      set_grad(k == 0 ? a : b, {overflows[k] ? kInf : 1});
      trajectory.skips += !scaler.step(optimizers[k]).applied;
    }
    scaler.update();
    trajectory.scales.push_back(static_cast<float>(scaler.loss_scale()));
  }
  return trajectory;
}

std::uint32_t fnv1a(const std::vector<float>& scales) {
  std::uint32_t value = 2166136261u;
  for (float scale : scales) {
    for (int shift = 0; shift < 32; shift += 8) {
      value = (value ^ (std::bit_cast<std::uint32_t>(scale) >> shift & 255)) * 16777619u;
    }
  }
  return value;
}

std::ifstream golden() {
  return std::ifstream(HALFTONE_SOURCE_DIR "/tests/goldens/grad_scaler_trajectories.txt");
}

void expect_equal(const Trajectory& mine, const std::string& line) {
  std::istringstream fields(line);
  std::uint64_t p, skips;
  std::uint32_t scale, hash;
  ASSERT_TRUE(fields >> p >> skips >> std::hex >> scale >> hash) << line;
  EXPECT_EQ(mine.skips, static_cast<std::int64_t>(skips)) << "pattern " << p;
  EXPECT_EQ(std::bit_cast<std::uint32_t>(mine.scales.back()), scale) << "pattern " << p;
  EXPECT_EQ(fnv1a(mine.scales), hash) << "pattern " << p;
}

TEST(ScalerTrajectory, FiveThousandOverflowPatternsAreThoseOfTorchAmp) {
  auto file = golden();
  std::string line;
  std::uint64_t p = 0;
  std::int64_t skips = 0;
  while (std::getline(file, line) && !line.starts_with("full")) {
    const Trajectory mine = run_scripted(overflow_pattern(p++));
    skips += mine.skips;
    expect_equal(mine, line);
  }
  EXPECT_EQ(p, 5000u);
  EXPECT_GT(skips, 50000);  // the patterns do overflow
}

TEST(ScalerTrajectory, RealGradientsTakeTheSamePath) {
  auto file = golden();
  std::string line;
  for (std::uint64_t p = 0; std::getline(file, line) && p < 200; ++p) {
    expect_equal(run_real(overflow_pattern(p)), line);
  }
}

TEST(ScalerTrajectory, TrajectoriesInFullAreEqualStepByStep) {
  auto file = golden();
  std::string line;
  int compared = 0;
  while (std::getline(file, line)) {
    if (!line.starts_with("full ")) continue;
    std::istringstream fields(line.substr(5));
    std::uint64_t p;
    fields >> p;
    const Trajectory mine = run_scripted(overflow_pattern(p));
    for (std::size_t i = 0; i < mine.scales.size(); ++i) {
      float expected = 0;
      ASSERT_TRUE(fields >> expected) << "pattern " << p << " step " << i;
      ASSERT_EQ(mine.scales[i], expected) << "pattern " << p << " step " << i;
    }
    ++compared;
  }
  EXPECT_EQ(compared, 3);
}

}  // namespace
}  // namespace halftone
