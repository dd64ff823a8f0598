#include "halftone/data/episodes.h"

#include <torch/torch.h>

#include "halftone/data/replay.h"
#include "tests/support/test.h"

namespace halftone::data {
namespace {

at::Tensor alternating(int64_t count, int64_t t) { return (torch::arange(count) + t) % 2; }

TEST(Episodes, StepGivesWhatWasAndWhatIsAndBeginsAnewBehindAnEnd) {
  Episodes episodes(cart_pole(), 3, 5);
  int64_t ends = 0;
  for (int64_t t = 0; t < 200; ++t) {
    const at::Tensor before = episodes.observation();
    const EpisodesStep step = episodes.step(alternating(3, t));
    EXPECT_TRUE(torch::equal(step.observation, before));
    EXPECT_EQ(step.reward.sum().item<float>(), 3.0f);
    const at::Tensor now = episodes.observation();
    for (int64_t i = 0; i < 3; ++i) {
      const bool ended = step.ended[i].item<bool>();
      EXPECT_EQ(torch::equal(step.next[i], now[i]), !ended);
      if (!ended) continue;
      ++ends;
      EXPECT_TRUE(step.terminated[i].item<bool>());
      EXPECT_GT(step.next[i][2].abs().item<double>(), 0.2);  // where the pole fell
      EXPECT_LE(now[i].abs().max().item<double>(), 0.0501);  // the next episode's first state
    }
  }
  EXPECT_GT(ends, 5);
}

TEST(Episodes, TruncatedAtTheLimitIsAnEndButNotFinal) {
  Episodes episodes(acrobot(), 1, 0);
  const at::Tensor still = torch::ones({1}, torch::kLong);
  for (int t = 1; t < 500; ++t) ASSERT_FALSE(episodes.step(still).ended.item<bool>()) << t;
  const EpisodesStep last = episodes.step(still);
  EXPECT_TRUE(last.ended.item<bool>());
  EXPECT_FALSE(last.terminated.item<bool>());
  EXPECT_EQ(last.reward.item<float>(), -1.0f);
  EXPECT_FALSE(episodes.step(still).ended.item<bool>());
}

TEST(Episodes, SavedAndRestoredGoOnAlikeThroughNewEpisodes) {
  Episodes one(cart_pole(), 4, 9), other(cart_pole(), 4, 9);
  for (int64_t t = 0; t < 30; ++t) one.step(alternating(4, t));
  other.load_state_dict(one.state_dict());
  for (int64_t t = 30; t < 130; ++t) {
    const EpisodesStep a = one.step(alternating(4, t)), b = other.step(alternating(4, t));
    ASSERT_TRUE(torch::equal(a.next, b.next)) << t;
    ASSERT_TRUE(torch::equal(a.ended, b.ended)) << t;
  }
  EXPECT_FALSE(torch::equal(Episodes(cart_pole(), 4, 8).observation(),
                            Episodes(cart_pole(), 4, 9).observation()));
  EXPECT_ERROR(one.step(torch::full({4}, 2)), "cartpole: action 2; expected 0 to 1");
  EXPECT_ERROR(Episodes(cart_pole(), 3, 9).load_state_dict(one.state_dict()), "cartpole.states");
}

TEST(Replay, KeepsTheLastAndDrawsThemAllEquallyOften) {
  Replay replay(8, 4);
  EXPECT_ERROR(replay.draw(1, CounterRng(0)), "empty");
  Episodes episodes(cart_pole(), 3, 1);
  std::vector<at::Tensor> lived;
  for (int64_t t = 0; t < 4; ++t) {
    const at::Tensor actions = alternating(3, t);
    const EpisodesStep step = episodes.step(actions);
    replay.add(step, actions);
    lived.push_back(step.observation);
  }
  EXPECT_EQ(replay.size(), 8);
  const at::Tensor last = torch::cat(lived).narrow(0, 4, 8);  // of twelve
  const Transitions drawn = replay.draw(4000, CounterRng(3));
  std::vector<int> count(8);
  for (int64_t i = 0; i < 4000; ++i) {
    const auto same = (last == drawn.observation[i]).all(1).nonzero();
    ASSERT_EQ(same.numel(), 1) << i;
    ++count[static_cast<size_t>(same.item<int64_t>())];
  }
  for (const int each : count) EXPECT_NEAR(each, 500, 105);  // five deviations
}

TEST(Replay, SavedAndRestoredDrawsAlike) {
  Replay replay(6, 4), other(6, 4);
  Episodes episodes(cart_pole(), 4, 1);
  for (int64_t t = 0; t < 3; ++t) {
    const at::Tensor actions = alternating(4, t);
    replay.add(episodes.step(actions), actions);
  }
  other.load_state_dict(replay.state_dict());
  const at::Tensor actions = alternating(4, 3);
  const EpisodesStep step = episodes.step(actions);
  replay.add(step, actions);
  other.add(step, actions);
  const Transitions a = replay.draw(40, CounterRng(2)), b = other.draw(40, CounterRng(2));
  EXPECT_TRUE(torch::equal(a.observation, b.observation));
  EXPECT_TRUE(torch::equal(a.next, b.next));
  EXPECT_TRUE(torch::equal(a.action, b.action));
  EXPECT_ERROR(Replay(7, 4).load_state_dict(replay.state_dict()), "replay.observation");
}

}  // namespace
}  // namespace halftone::data
