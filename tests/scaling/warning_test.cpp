#include <mutex>
#include <string>
#include <vector>

#include "halftone/base/log.h"
#include "tests/scaling/fakes.h"
#include "tests/support/test.h"

namespace halftone {
namespace {

std::vector<std::string> g_warnings;

void keep(std::string_view channel, std::string_view line) {
  if (channel == "warning") g_warnings.emplace_back(line);
}

// Collects warnings while it lives.
class Warnings {
 public:
  Warnings() : before_(set_log_sink(keep)) { g_warnings.clear(); }
  ~Warnings() { set_log_sink(before_); }

 private:
  LogSink before_;
};

void iterate(GradScaler& scaler, bool overflow, int times = 1) {
  ScriptedOptimizer optimizer;
  for (int i = 0; i < times; ++i) {
    optimizer.overflow = overflow;
    scaler.step(optimizer);
    scaler.update();
  }
}

bool last_says(const std::string& text) {
  return !g_warnings.empty() && g_warnings.back().find(text) != std::string::npos;
}

TEST(SkipWarning, ComesAfterTwentySkipsInARowThenAfterEveryHundred) {
  const Warnings guard;
  GradScaler scaler(dynamic_scale(0x1p126));
  std::vector<std::int64_t> when;
  for (int i = 1; i <= 330; ++i) {
    const auto before = g_warnings.size();
    iterate(scaler, true);
    if (g_warnings.size() > before) when.push_back(i);
  }
  EXPECT_EQ(when, (std::vector<std::int64_t>{20, 120, 220, 320}));
  EXPECT_TRUE(last_says("320 steps in a row were skipped"));
  EXPECT_TRUE(last_says("(first: group 0, parameter 0)"));
  EXPECT_EQ(scaler.skipped_in_a_row(), 330);
}

TEST(SkipWarning, AFiniteStepStartsTheCountAgain) {
  const Warnings guard;
  GradScaler scaler(dynamic_scale(0x1p126));
  iterate(scaler, true, 19);
  iterate(scaler, false);
  EXPECT_EQ(scaler.skipped_in_a_row(), 0);
  iterate(scaler, true, 19);
  EXPECT_TRUE(g_warnings.empty());
  iterate(scaler, true);
  EXPECT_EQ(g_warnings.size(), 1u);
}

TEST(SkipWarning, NamesAScaleThatIsStillFalling) {
  const Warnings guard;
  GradScaler scaler(dynamic_scale(0x1p30));
  iterate(scaler, true, 20);
  EXPECT_TRUE(last_says("still falling (from 1073741824 to 1024), so it was too high"));
}

TEST(SkipWarning, NamesTheFloor) {
  const Warnings guard;
  GradScaler scaler;
  iterate(scaler, true, 20);
  EXPECT_TRUE(
      last_says("already at its floor 1, so the loss itself is not finite, or the "
                "learning rate is too high"));
}

TEST(SkipWarning, NamesAFixedScaleAndNoScaleAndHysteresis) {
  const Warnings guard;
  GradScaler fixed({.kind = LossScaling::fixed, .init = 128});
  iterate(fixed, true, 20);
  EXPECT_TRUE(last_says("fixed at 128"));
  GradScaler none({.kind = LossScaling::none});
  iterate(none, true, 20);
  EXPECT_TRUE(last_says("nothing is scaled, so the loss itself is not finite"));
  GradScaler patient({.kind = LossScaling::dynamic, .hysteresis = 50});
  iterate(patient, true, 20);
  EXPECT_TRUE(last_says("has not fallen yet (hysteresis)"));
}

TEST(SkipWarning, TheNumbersCanBeChangedAndSwitchedOff) {
  const Warnings guard;
  GradScaler scaler;
  scaler.set_skip_warning(3, 2);
  iterate(scaler, true, 8);
  EXPECT_EQ(g_warnings.size(), 3u);  // 3, 5, 7
  scaler.set_skip_warning(0, 1);
  iterate(scaler, true, 8);
  EXPECT_EQ(g_warnings.size(), 3u);
  EXPECT_ERROR(scaler.set_skip_warning(-1, 1), "-1 skips");
}

TEST(SkipWarning, ALoadedScaleBelowTheFloorIsMovedToItWithAWarning) {
  const Warnings guard;
  GradScaler scaler;
  StateDict state = scaler.state_dict();
  state.insert_or_assign("scale", 0.25);
  scaler.load_state_dict(state);
  EXPECT_EQ(scaler.loss_scale(), 1);
  EXPECT_TRUE(last_says("the loaded loss scale 0.25 is outside of 1 to"));
}

}  // namespace
}  // namespace halftone
