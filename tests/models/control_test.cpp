// The networks that choose actions against Python PyTorch (tests/goldens/control.py).
#include "halftone/models/control.h"

#include "halftone/precision/apply.h"
#include "halftone/precision/autocast.h"
#include "tests/models/golden.h"

namespace halftone::models {
namespace {

TEST(ControlGoldens, LossOutputsAndGradientsInFp64) {
  const Json goldens = golden::read("control.json");
  const std::int64_t batch = goldens.at("batch").as_int();
  const std::int64_t observation = goldens.at("observation").as_int();
  for (const char* name : {"dqn", "ppo"}) {
    SCOPED_TRACE(name);
    const Json& golden = goldens.at(name);
    const auto network = make_control({.name = name,
                                       .observation = observation,
                                       .actions = goldens.at("actions").as_int(),
                                       .width = goldens.at("width").as_int()});
    golden::fill_parameters(*network);
    network->to(torch::kDouble);
    const auto x = golden::unit(batch * observation, "observation").view({batch, observation});
    const ControlOutput output = network->forward(x);
    EXPECT_LT(golden::difference(output.scores, golden::numbers(golden.at("scores"))),
              tolerance::kFp64Network);
    EXPECT_LT(golden::difference(output.value, golden::numbers(golden.at("value"))),
              tolerance::kFp64Network);
    const auto loss = torch::cat({output.scores.flatten(), output.value}).square().mean();
    EXPECT_NEAR(loss.item<double>(), golden.at("loss").as_double(), tolerance::kFp64Network);
    loss.backward();
    golden::check_gradients(*network, golden);
  }
}

TEST(Control, AdvantagesShowInHalfBesideALargeValue) {
  // Values near 100, where bf16 has steps of 0.5, and advantages of 0.01.
  const auto network = make_control({.name = "dqn", .observation = 2, .actions = 2, .width = 4});
  torch::NoGradGuard no_grad;
  for (auto& item : network->named_parameters()) item.value().zero_();
  network->named_parameters()["value.bias"].fill_(100);
  network->named_parameters()["advantage.bias"].copy_(torch::tensor({0.0, 0.01}));
  const Policy policy = Policy::preset("bf16-master");
  halftone::apply(policy, *network);
  const Autocast autocast(policy);
  const auto scores = network->forward(torch::zeros({1, 2})).scores;
  EXPECT_EQ(scores.scalar_type(), torch::kFloat);
  EXPECT_NEAR((scores[0][1] - scores[0][0]).item<double>(), 0.01, 0.01 * tolerance::kBf16);
}

TEST(Control, DependsOnTheSeedAloneAndBeginsUndecided) {
  for (const char* name : {"dqn", "ppo"}) {
    ControlOptions options{.name = name, .observation = 4, .actions = 3};
    const auto x = torch::ones({2, 4});
    const auto scores = make_control(options)->forward(x).scores;
    EXPECT_TRUE(torch::equal(make_control(options)->forward(x).scores, scores));
    options.seed = 1;
    EXPECT_FALSE(torch::equal(make_control(options)->forward(x).scores, scores));
  }
  const auto logits =
      make_control({.name = "ppo", .observation = 4, .actions = 3})->forward(torch::ones({2, 4}));
  EXPECT_LT((logits.scores.softmax(1) - 1.0 / 3).abs().max().item<double>(), 0.02);
}

TEST(Control, WhatDoesNotFitIsAnErrorWithGivenAndExpected) {
  const auto network = make_control({.name = "dqn", .observation = 4, .actions = 2});
  EXPECT_ERROR(network->forward(torch::zeros({2, 5})), "dqn, observation: [2, 5] of Float");
  EXPECT_ERROR(network->forward(torch::zeros({2, 4}, torch::kLong)), "of Long");
  EXPECT_ERROR(make_control({.name = "dpq", .observation = 4, .actions = 2}), "did you mean");
  EXPECT_ERROR(make_control({.name = "ppo", .observation = 4, .actions = 0}), "ppo, actions: 0");
}

}  // namespace
}  // namespace halftone::models
