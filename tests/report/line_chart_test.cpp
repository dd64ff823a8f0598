#include "halftone/report/line_chart.h"

#include <cmath>
#include <limits>

#include "tests/support/test.h"

namespace halftone::report {
namespace {

const double kNaN = std::numeric_limits<double>::quiet_NaN();

TEST(Axis, TicksAreRoundNumbersInsideTheRange) {
  const Axis axis = make_axis(0.13, 0.92, 5);
  EXPECT_EQ(axis.labels, (std::vector<std::string>{"0.2", "0.4", "0.6", "0.8"}));
  EXPECT_EQ(make_axis(0, 2000, 5).labels,
            (std::vector<std::string>{"0", "500", "1000", "1500", "2000"}));
}

TEST(Axis, SingleValueAndTinyRangesStillHaveTicks) {
  EXPECT_GE(make_axis(3, 3, 5).ticks.size(), 2u);
  EXPECT_GE(make_axis(0, 0, 5).ticks.size(), 2u);
  EXPECT_GE(make_axis(1e-7, 2e-7, 4).ticks.size(), 2u);
}

TEST(LineChart, NonFiniteValueBreaksTheLineAndLeavesTheAxisFinite) {
  const LineChart chart{"loss", "step", "loss", {{"fp16", {1, 2, 3, 4}, {1, kNaN, 2, 3}}}};
  const ChartLayout layout = lay_out(chart, 480, 300, 14);
  ASSERT_EQ(layout.lines[0].runs.size(), 2u);
  EXPECT_EQ(layout.lines[0].runs[0].size(), 1u);
  EXPECT_EQ(layout.lines[0].runs[1].size(), 2u);
  EXPECT_TRUE(std::isfinite(layout.y.low) && std::isfinite(layout.y.high));
}

TEST(LineChart, EmptyChartHasAxes) {
  const ChartLayout layout = lay_out({"empty", "x", "y", {{"none", {}, {}}}}, 480, 300, 14);
  EXPECT_GE(layout.x.ticks.size(), 2u);
  EXPECT_TRUE(layout.lines[0].runs.empty());
}

TEST(LineChart, LabelsOfCurvesThatMeetDoNotOverlap) {
  const Series a{"fp32", {1, 2}, {0.5, 0.9}}, b{"bf16", {1, 2}, {0.4, 0.9}};
  const ChartLayout layout = lay_out({"accuracy", "epoch", "", {a, b}}, 480, 300, 14);
  EXPECT_GE(std::abs(layout.lines[0].label.y - layout.lines[1].label.y), 14.0);
  for (const auto& line : layout.lines) {
    EXPECT_GE(line.label.y, layout.top);
    EXPECT_LE(line.label.y, layout.bottom);
  }
}

TEST(LineChart, ThinningKeepsTheMeanAndLeavesOutWhatIsNotFinite) {
  const Series thin = thinned({"loss", {1, 2, 3, 4}, {1, 3, kNaN, 5}}, 2);
  EXPECT_EQ(thin.x, (std::vector<double>{1.5, 3.5}));
  EXPECT_EQ(thin.y, (std::vector<double>{2, 5}));
}

TEST(LineChart, CurvesDifferWithoutColour) {
  for (std::size_t a = 0; a < 4; ++a) {
    for (std::size_t b = a + 1; b < 4; ++b) {
      EXPECT_NE(line_dashes(a), line_dashes(b));
      EXPECT_TRUE(marker_outline(a).size() != marker_outline(b).size() ||
                  marker_outline(a)[0].x != marker_outline(b)[0].x);
    }
  }
}

}  // namespace
}  // namespace halftone::report
