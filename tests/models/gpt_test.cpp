// GPT against the same network written in Python PyTorch (tests/goldens/gpt.py), and what it
// promises beside.
#include "halftone/models/gpt.h"

#include "halftone/precision/apply.h"
#include "halftone/precision/autocast.h"
#include "tests/models/golden.h"

namespace halftone::models {
namespace {

constexpr GptOptions kTiny{.vocabulary = 11, .context = 8, .layers = 2, .heads = 3, .width = 12};

// As in gpt.py: (sequences, length + 1).
at::Tensor golden_tokens(std::int64_t sequences, std::int64_t length, std::int64_t vocabulary) {
  const auto n = torch::arange(sequences).unsqueeze(1), t = torch::arange(length + 1);
  return (7 * n + 3 * t * t + t) % vocabulary;
}

struct GptPass {
  at::Tensor logits, loss;
};

GptPass run_gpt(Gpt& gpt, const Json& golden) {
  const auto length = golden.at("length").as_int();
  const auto tokens =
      golden_tokens(golden.at("sequences").as_int(), length, golden.at("vocabulary").as_int());
  GptPass pass;
  pass.logits = gpt.forward(tokens.narrow(1, 0, length));
  pass.loss = torch::cross_entropy_loss(pass.logits.flatten(0, 1),
                                        tokens.narrow(1, 1, length).reshape({-1}));
  return pass;
}

GptOptions golden_options(const Json& golden) {
  return {.vocabulary = golden.at("vocabulary").as_int(),
          .context = golden.at("context").as_int(),
          .layers = golden.at("layers").as_int(),
          .heads = golden.at("heads").as_int(),
          .width = golden.at("width").as_int(),
          .tied_head = golden.at("tied").as_bool()};
}

TEST(GptGoldens, LossLogitsAndGradientsInFp64WithAHeadOfItsOwnAndATiedOne) {
  const Json goldens = golden::read("gpt.json");
  for (const auto& golden : goldens.as_array()) {
    SCOPED_TRACE(golden.at("tied").as_bool() ? "tied" : "untied");
    Gpt gpt(golden_options(golden));
    golden::fill_parameters(gpt);
    gpt.to(torch::kDouble);
    const GptPass pass = run_gpt(gpt, golden);
    EXPECT_NEAR(pass.loss.item<double>(), golden.at("loss").as_double(), tolerance::kFp64Network);
    EXPECT_LT(golden::difference(pass.logits, golden::numbers(golden.at("logits"))),
              tolerance::kFp64Network);
    pass.loss.backward();
    golden::check_gradients(gpt, golden);
  }
}

TEST(GptGoldens, LogitsInFp32AndUnderAutocast) {
  const Json goldens = golden::read("gpt.json");
  for (const auto& golden : goldens.as_array()) {
    for (const auto& [preset, bound] : {std::pair("fp32", tolerance::kFp32Network),
                                        {"fp16", tolerance::kFp16Network},
                                        {"bf16", tolerance::kBf16Network}}) {
      SCOPED_TRACE(preset);
      Gpt gpt(golden_options(golden));
      golden::fill_parameters(gpt);
      const Policy policy = Policy::preset(preset);
      halftone::apply(policy, gpt);
      const Autocast autocast(policy);
      const GptPass pass = run_gpt(gpt, golden);
      EXPECT_LT(golden::difference(pass.logits, golden::numbers(golden.at("logits"))), bound);
    }
  }
}

TEST(Gpt, LogitsDependOnNoLaterToken) {
  Gpt gpt(kTiny);
  gpt.eval();
  const auto tokens = golden_tokens(2, 7, kTiny.vocabulary);
  auto changed = tokens.clone();
  changed.select(1, 5).add_(1).remainder_(kTiny.vocabulary);
  const auto a = gpt.forward(tokens), b = gpt.forward(changed);
  EXPECT_TRUE(torch::equal(a.narrow(1, 0, 5), b.narrow(1, 0, 5)));
  EXPECT_FALSE(torch::equal(a.select(1, 5), b.select(1, 5)));
}

TEST(Gpt, InitialWeightsDependOnTheSeedAlone) {
  const auto weights = [](std::uint64_t seed, std::uint64_t global) {
    torch::manual_seed(global);
    GptOptions options = kTiny;
    options.seed = seed;
    const auto before = torch::rand({1});
    torch::manual_seed(global);
    auto gpt = std::make_shared<Gpt>(options);
    EXPECT_TRUE(torch::equal(torch::rand({1}), before));  // LibTorch's generator is as before
    return torch::cat({gpt->named_parameters()["wte.weight"].flatten(),
                       gpt->named_parameters()["h.1.mlp_proj.weight"].flatten()});
  };
  EXPECT_TRUE(torch::equal(weights(1, 5), weights(1, 6)));
  EXPECT_FALSE(torch::equal(weights(1, 5), weights(2, 5)));
}

TEST(Gpt, DropoutDrawsInTrainingAlone) {
  GptOptions options = kTiny;
  options.dropout = 0.5;
  Gpt gpt(options);
  const auto tokens = golden_tokens(2, 7, kTiny.vocabulary);
  EXPECT_FALSE(torch::equal(gpt.forward(tokens), gpt.forward(tokens)));
  gpt.eval();
  EXPECT_TRUE(torch::equal(gpt.forward(tokens), gpt.forward(tokens)));
}

TEST(Gpt, WhatDoesNotFitIsAnErrorWithGivenAndExpected) {
  Gpt gpt(kTiny);
  EXPECT_ERROR(gpt.forward(torch::zeros({1, 9}, torch::kLong)), "tokens [1, 9] of Long");
  EXPECT_ERROR(gpt.forward(torch::zeros({1, 9}, torch::kLong)), "at most the 8 positions");
  EXPECT_ERROR(gpt.forward(torch::zeros({1, 4})), "of Float");
  GptOptions options = kTiny;
  options.heads = 5;
  EXPECT_ERROR(Gpt{options}, "gpt, width: 12; expected a multiple of the 5 heads");
  options = kTiny;
  options.dropout = 1;
  EXPECT_ERROR(Gpt{options}, "gpt, dropout: 1");
  options.vocabulary = 0;
  EXPECT_ERROR(Gpt{options}, "gpt, vocabulary: 0; expected 1 or more");
}

}  // namespace
}  // namespace halftone::models
