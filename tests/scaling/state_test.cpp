// state_dict: resume equals uninterrupted, and Python's torch.amp.GradScaler in both directions.
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/scaling/fakes.h"
#include "tests/scaling/patterns.h"
#include "tests/support/test.h"

namespace halftone {
namespace {

// As tests/goldens/grad_scaler.py has it.
constexpr std::uint64_t kStatePattern = 500;

std::vector<double> run(GradScaler& scaler, const OverflowPattern& pattern, std::size_t begin,
                        std::size_t end) {
  ScriptedOptimizer optimizers[2];
  std::vector<double> scales;
  for (std::size_t i = begin; i < end; ++i) {
    for (int k = 0; k < pattern.optimizers; ++k) {
      optimizers[k].overflow = pattern.steps[i][k];
      scaler.step(optimizers[k]);
    }
    scaler.update();
    scales.push_back(scaler.loss_scale());
  }
  return scales;
}

TEST(ScalerState, SaveAndResumeEqualsUninterruptedForEveryKind) {
  for (auto kind : {LossScaling::dynamic, LossScaling::fixed, LossScaling::none}) {
    for (std::uint64_t p = 0; p < 60; ++p) {
      auto pattern = overflow_pattern(p);
      pattern.policy.kind = kind;
      pattern.policy.hysteresis = static_cast<std::int64_t>(1 + p % 3);
      const std::size_t half = pattern.steps.size() / 2, end = pattern.steps.size();
      GradScaler whole(pattern.policy), first(pattern.policy);
      for (auto* scaler : {&whole, &first}) scaler->set_skip_warning(0, 0);
      run(whole, pattern, 0, half);
      run(first, pattern, 0, half);
      GradScaler second(LossScalePolicy{.kind = kind});  // every number comes from the state
      second.set_skip_warning(0, 0);
      second.load_state_dict(first.state_dict());
      EXPECT_EQ(run(second, pattern, half, end), run(whole, pattern, half, end)) << p;
      EXPECT_EQ(second.skipped_steps(), whole.skipped_steps());
      EXPECT_EQ(second.skipped_in_a_row(), whole.skipped_in_a_row());
    }
  }
}

TEST(ScalerState, LaterStepsDoNotChangeIt) {
  GradScaler scaler;
  const StateDict state = scaler.state_dict();
  ScriptedOptimizer optimizer;
  optimizer.overflow = true;
  scaler.step(optimizer);
  scaler.update();
  EXPECT_EQ(state.at("scale").toDouble(), 65536);
  EXPECT_EQ(state.at("skipped_steps").toInt(), 0);
}

TEST(ScalerState, HasTheKeysAndTypesOfTorchAmp) {
  const StateDict state = GradScaler().state_dict();
  EXPECT_EQ(state.at("scale").toDouble(), 65536);
  EXPECT_EQ(state.at("growth_factor").toDouble(), 2);
  EXPECT_EQ(state.at("backoff_factor").toDouble(), 0.5);
  EXPECT_EQ(state.at("growth_interval").toInt(), 2000);
  EXPECT_EQ(state.at("_growth_tracker").toInt(), 0);
}

TEST(ScalerState, AScaleThatDoesNotMoveIsWrittenSoThatPythonHoldsIt) {
  const GradScaler fixed({.kind = LossScaling::fixed, .init = 128});
  EXPECT_EQ(fixed.state_dict().at("growth_factor").toDouble(), 1);
  EXPECT_EQ(fixed.state_dict().at("backoff_factor").toDouble(), 1);
}

TEST(ScalerState, AWrongStateIsNamedAndChangesNothing) {
  ScriptedOptimizer optimizer;
  GradScaler scaler(dynamic_scale(1024));
  auto expect_rejected = [&](auto&& damage, const std::string& message) {
    StateDict state = GradScaler().state_dict();
    damage(state);
    EXPECT_ERROR(scaler.load_state_dict(state), message);
    EXPECT_EQ(scaler.loss_scale(), 1024);
  };
  expect_rejected([](StateDict& s) { EXPECT_EQ(s.erase("scale"), 1u); },
                  "grad_scaler.scale: no such key");
  expect_rejected([](StateDict& s) { s.insert("colour", 1); }, "grad_scaler.colour");
  expect_rejected([](StateDict& s) { s.insert_or_assign("scale", std::string("high")); },
                  "grad_scaler.scale");
  expect_rejected([](StateDict& s) { s.insert_or_assign("scale", double{kNan}); },
                  "loss_scale.init = nan");
  expect_rejected([](StateDict& s) { s.insert_or_assign("scale", -2.0); }, "loss_scale.init = -2");
  expect_rejected([](StateDict& s) { s.insert_or_assign("growth_interval", 2.5); },
                  "grad_scaler.growth_interval");
  expect_rejected([](StateDict& s) { s.insert_or_assign("growth_factor", 0.5); },
                  "loss_scale.growth_factor = 0.5");
  expect_rejected([](StateDict& s) { s.insert_or_assign("_growth_tracker", -1); },
                  "grad_scaler._growth_tracker: -1");
  expect_rejected([](StateDict& s) { s.insert_or_assign("kind", std::string("fixed")); },
                  "grad_scaler.kind: loss scaling 'fixed'; expected 'dynamic'");
  expect_rejected([](StateDict& s) { s.clear(); }, "a disabled torch.amp.GradScaler");
}

TEST(ScalerState, ADisabledPythonScalersEmptyStateSuitsNoScaling) {
  GradScaler scaler({.kind = LossScaling::none});
  scaler.load_state_dict(make_state_dict());
  EXPECT_EQ(scaler.loss_scale(), 1);
}

StateDict python_state() {
  std::ifstream file(HALFTONE_SOURCE_DIR "/tests/goldens/grad_scaler_state.pt", std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  StateDict state = make_state_dict();
  for (const auto& entry : torch::pickle_load(bytes).toGenericDict()) {
    state.insert(entry.key().toStringRef(), entry.value());
  }
  return state;
}

TEST(ScalerState, WhatPythonHasSavedIsLoadedAndContinuesTheSame) {
  const auto pattern = overflow_pattern(kStatePattern);
  const std::size_t half = pattern.steps.size() / 2, end = pattern.steps.size();
  auto other = pattern.policy;  // Python has no floor and no ceiling to save
  other.init = 8;
  other.growth_factor = 3;
  other.growth_interval = 7;
  GradScaler whole(pattern.policy), loaded(other);
  run(whole, pattern, 0, half);
  loaded.load_state_dict(python_state());
  EXPECT_EQ(run(loaded, pattern, half, end), run(whole, pattern, half, end));
}

TEST(ScalerState, WhatPythonHasSavedIsWhatWeWouldHaveSaved) {
  const auto pattern = overflow_pattern(kStatePattern);
  GradScaler scaler(pattern.policy);
  run(scaler, pattern, 0, pattern.steps.size() / 2);
  const StateDict mine = scaler.state_dict();
  const StateDict python = python_state();
  EXPECT_EQ(python.size(), 5u);
  for (const auto& entry : python) {
    EXPECT_TRUE(mine.at(entry.key()) == entry.value()) << entry.key();
  }
}

// tests/python/test_grad_scaler_state.py, which runs after this, loads it into Python's.
TEST(ScalerState, IsWrittenForPython) {
  const auto pattern = overflow_pattern(kStatePattern);
  GradScaler scaler(pattern.policy);
  run(scaler, pattern, 0, pattern.steps.size() / 2);
  const std::string path = HALFTONE_BUILD_DIR "/tests/grad_scaler_state.pt";
  const auto bytes = torch::pickle_save(scaler.state_dict());
  std::ofstream(path, std::ios::binary).write(bytes.data(), std::ssize(bytes));
  EXPECT_EQ(std::filesystem::file_size(path), bytes.size());
}

}  // namespace
}  // namespace halftone
