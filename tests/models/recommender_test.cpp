// The recommenders against the same networks written in Python PyTorch
// (tests/goldens/recommender.py), and what they promise beside.
#include "halftone/models/recommender.h"

#include "tests/models/golden.h"

namespace halftone::models {
namespace {

RecommenderOptions tiny_recommender(const std::string& name) {
  return {.name = name, .users = 4, .items = 6, .factors = 8};
}

TEST(RecommenderGoldens, LossOutputsAndGradientsInFp64) {
  const Json goldens = golden::read("recommender.json");
  for (const auto& golden : goldens.as_array()) {
    const std::string name = golden.at("name").as_string();
    SCOPED_TRACE(name);
    const auto model = make_recommender({.name = name,
                                         .users = golden.at("users").as_int(),
                                         .items = golden.at("items").as_int(),
                                         .factors = golden.at("factors").as_int(),
                                         .mean = golden.at("mean").as_double()});
    golden::fill_parameters(*model);
    model->to(torch::kDouble);
    const auto n = torch::arange(golden.at("pairs").as_int());
    const auto output = model->forward(torch::stack(
        {(5 * n + 1) % golden.at("users").as_int(), (3 * n * n + n) % golden.at("items").as_int()},
        1));
    const auto loss =
        name == "mf" ? torch::mse_loss(output, (n % 5 + 1).to(torch::kDouble))
                     : torch::binary_cross_entropy_with_logits(output, (n % 2).to(torch::kDouble));
    EXPECT_NEAR(loss.item<double>(), golden.at("loss").as_double(), tolerance::kFp64Network);
    EXPECT_LT(golden::difference(output, golden::numbers(golden.at("output"))),
              tolerance::kFp64Network);
    loss.backward();
    golden::check_gradients(*model, golden);
  }
}

TEST(Recommender, KeepsTheShapeOfPairsAndDependsOnTheSeedAlone) {
  for (const char* name : {"mf", "neumf"}) {
    const auto pairs = torch::tensor({{{0, 0}, {3, 5}, {1, 2}}, {{2, 4}, {0, 1}, {3, 3}}});
    auto options = tiny_recommender(name);
    const auto scores = make_recommender(options)->forward(pairs);
    EXPECT_EQ(scores.sizes(), at::IntArrayRef({2, 3}));
    EXPECT_TRUE(torch::equal(make_recommender(options)->forward(pairs), scores));
    options.seed = 1;
    EXPECT_FALSE(torch::equal(make_recommender(options)->forward(pairs), scores));
  }
}

TEST(Recommender, WhatDoesNotFitIsAnErrorWithGivenAndExpected) {
  const auto model = make_recommender(tiny_recommender("mf"));
  EXPECT_ERROR(model->forward(torch::tensor({{4, 0}})), "user 4; expected 0 to 3");
  EXPECT_ERROR(model->forward(torch::tensor({{0, -1}})), "item -1; expected 0 to 5");
  EXPECT_ERROR(model->forward(torch::zeros({2, 2})), "of Float");
  EXPECT_ERROR(make_recommender({.name = "nmf", .users = 1, .items = 1}), "did you mean");
  EXPECT_ERROR(make_recommender({.name = "mf", .users = 0, .items = 1}), "mf, users: 0");
  EXPECT_ERROR(make_recommender({.name = "neumf", .users = 1, .items = 1, .factors = 6}),
               "neumf, factors: 6; expected a multiple of 4");
}

}  // namespace
}  // namespace halftone::models
