// Compiled against tests/support/minitest.h by tests/python/test_minitest.py: what passes, what
// fails and how it is reported.
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/test.h"

namespace {

enum class Colour { red, green };

TEST(Passes, EveryAssertion) {
  const std::vector<int> three{1, 2, 3};
  EXPECT_EQ(three.size(), 3);
  EXPECT_EQ(three, (std::vector<int>{1, 2, 3})) << "streamed";
  EXPECT_EQ(Colour::red, Colour::red);
  EXPECT_EQ(std::optional<int>{}, std::nullopt);
  EXPECT_NE(1, 2);
  EXPECT_LT(1, 2);
  EXPECT_LE(2, 2);
  EXPECT_GT(2, 1);
  EXPECT_GE(2, 2);
  EXPECT_TRUE(std::optional<int>{1});
  EXPECT_FALSE(false);
  EXPECT_NEAR(1.0, 1.1, 0.2);
  EXPECT_DOUBLE_EQ(0.1 + 0.2, 0.3);
  EXPECT_FLOAT_EQ(1.0f, 1.0f + 0x1p-23f);
  EXPECT_STREQ("a", std::string("a").c_str());
  EXPECT_THROW(throw std::out_of_range("x"), std::exception);
  EXPECT_NO_THROW(std::stoi("1"));
  ASSERT_EQ(1, 1);
  ASSERT_NE(1, 2);
  ASSERT_LT(1, 2);
  ASSERT_LE(1, 2);
  ASSERT_GT(2, 1);
  ASSERT_GE(2, 1);
  ASSERT_TRUE(true);
  ASSERT_FALSE(false);
  ASSERT_NEAR(1, 1, 0);
  ASSERT_DOUBLE_EQ(1, 1);
  ASSERT_FLOAT_EQ(1, 1);
  ASSERT_STREQ("b", "b");
  ASSERT_THROW(throw 1, int);
  ASSERT_NO_THROW(static_cast<void>(0));
  SUCCEED() << "noted";
  EXPECT_ERROR(throw halftone::Error("given", "right"), "given; expected right");
}

TEST(Passes, ElseBelongsToTheOuterIf) {
  int reached = 0;
  if (reached != 0)
    EXPECT_EQ(1, 2);
  else
    reached = 1;
  EXPECT_EQ(reached, 1);
}

TEST(Fails, EveryExpectationAndGoesOn) {
  EXPECT_EQ(std::string("one"), "two") << "said " << 42 << ' ' << true;
  EXPECT_NE(1, 1);
  EXPECT_LT(2, 1);
  EXPECT_LE(2, 1);
  EXPECT_GT(1, 2);
  EXPECT_GE(1, 2);
  EXPECT_TRUE(false);
  EXPECT_FALSE(true);
  EXPECT_NEAR(1.0, 2.0, 0.5);
  EXPECT_DOUBLE_EQ(1.0, 1.0 + 1e-12);
  EXPECT_FLOAT_EQ(1.0f, 1.0f + 0x1p-20f);
  EXPECT_STREQ("a", "b");
  EXPECT_THROW(static_cast<void>(0), std::exception);
  EXPECT_THROW(throw 1, std::exception);
  EXPECT_NO_THROW(throw std::runtime_error("boom"));
  EXPECT_ERROR(static_cast<void>(0), "anything");
  EXPECT_NEAR(1.0, std::stod("nan"), 1e9);
  ADD_FAILURE() << "added";
}

TEST(Fails, AssertionLeavesTheTest) {
  ASSERT_EQ((std::vector<int>{1, 2}), (std::vector<int>{3}));
  ADD_FAILURE() << "not reached";
}

TEST(Fails, FailLeavesTheTest) {
  FAIL() << "on purpose";
  ADD_FAILURE() << "not reached";
}

TEST(Fails, ByAnException) { throw std::runtime_error("out of the body"); }

TEST(Fails, WithItsTraces) {
  SCOPED_TRACE("outer");
  for (int i = 0; i < 3; ++i) {
    SCOPED_TRACE("inner " + std::to_string(i));
    EXPECT_NE(i, 1);
  }
}

TEST(Fails, OnAnotherThread) {
  std::thread([] { EXPECT_EQ(1, 2); }).join();
}

TEST(Skips, WithAReason) {
  GTEST_SKIP() << "no "
               << "device";
  ADD_FAILURE() << "not reached";
}

}  // namespace
