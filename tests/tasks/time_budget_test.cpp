#include "halftone/tasks/time_budget.h"

#include "tests/support/test.h"

namespace halftone::tasks {
namespace {

TEST(TimeBudget, TakesTheEpochsThatComeNearestAndAtLeastOne) {
  EXPECT_EQ(whole_epochs(84, 42, 156), 13);  // 6.552 s an epoch
  EXPECT_EQ(whole_epochs(84, 105, 156), 5);  // 16.38 s
  EXPECT_EQ(whole_epochs(1, 42, 156), 1);
  EXPECT_EQ(whole_epochs(1e300, 1, 1), 1'000'000);
  EXPECT_EQ(whole_epochs(60, 0, 156), 1'000'000);  // a clock too coarse for the steps
}

}  // namespace
}  // namespace halftone::tasks
