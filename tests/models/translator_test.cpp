// The translator against torch.nn's encoder and decoder layers (tests/goldens/translator.py), its
// masks, its decoder a token at a time, and beam search against all translations that there are.
#include "halftone/models/beam_search.h"
#include "halftone/ops/enable.h"
#include "halftone/precision/autocast.h"
#include "tests/models/golden.h"

namespace halftone::models {
namespace {

constexpr std::int64_t kStart = 1, kEnd = 2;

std::shared_ptr<Translator> tiny_translator(std::int64_t vocabulary = 11) {
  auto translator = std::make_shared<Translator>(TranslatorOptions{
      .vocabulary = vocabulary, .positions = 9, .layers = 2, .heads = 2, .width = 12, .inner = 20});
  golden::fill_parameters(*translator);
  translator->eval();
  return translator;
}

struct TwoTexts {
  explicit TwoTexts(std::int64_t width, std::int64_t vocabulary = 11) {
    const auto t = torch::arange(width);
    tokens = torch::stack({(3 * t + 4) % vocabulary, (5 * t + 3) % vocabulary});
    mask = torch::stack({t < 4, t < 2});
  }
  at::Tensor tokens, mask;
  at::Tensor prefix = torch::tensor({{1, 5, 3, 7}, {1, 4, 4, 6}}, torch::kLong);
};

struct GoldenPairs {
  at::Tensor tokens, mask, prefix, target;
};

// As pairs() in translator.py.
GoldenPairs golden_pairs(const Json& golden) {
  const auto sources = golden::numbers(golden.at("sources")).to(torch::kLong).unsqueeze(1);
  const auto targets = golden::numbers(golden.at("targets")).to(torch::kLong).unsqueeze(1);
  const auto vocabulary = golden.at("vocabulary").as_int();
  const auto n = torch::arange(sources.size(0)).unsqueeze(1);
  const auto s = torch::arange(sources.max().item<std::int64_t>());
  const auto t = torch::arange(targets.max().item<std::int64_t>() + 1);
  const auto text = (7 * n + 3 * t * t + t) % vocabulary;
  const auto next = text.narrow(1, 1, t.size(0) - 1);
  const auto counts = t.narrow(0, 0, t.size(0) - 1) < targets;
  return {(5 * n + 2 * s * s + s) % vocabulary, s < sources, text.narrow(1, 0, t.size(0) - 1),
          torch::where(counts, next, -100)};
}

std::shared_ptr<Translator> golden_translator(const Json& golden) {
  auto translator =
      std::make_shared<Translator>(TranslatorOptions{.vocabulary = golden.at("vocabulary").as_int(),
                                                     .positions = 9,
                                                     .layers = golden.at("layers").as_int(),
                                                     .heads = golden.at("heads").as_int(),
                                                     .width = golden.at("width").as_int(),
                                                     .inner = golden.at("inner").as_int(),
                                                     .dropout = 0});
  golden::fill_parameters(*translator);
  return translator;
}

// How far the logits of the places that count are from the golden's.
double golden_difference(const at::Tensor& logits, const GoldenPairs& pairs, const Json& golden) {
  return golden::difference(logits.index({pairs.target.ne(-100)}),
                            golden::numbers(golden.at("logits")));
}

TEST(TranslatorGoldens, LossLogitsAndGradientsInFp64) {
  const Json golden = golden::read("translator.json").as_array()[0];
  const auto translator = golden_translator(golden);
  translator->to(torch::kDouble);
  const GoldenPairs pairs = golden_pairs(golden);
  const auto logits = translator->forward(pairs.tokens, pairs.mask, pairs.prefix);
  const auto loss =
      torch::cross_entropy_loss(logits.flatten(0, 1), pairs.target.flatten(), {},
                                at::Reduction::Mean, -100, golden.at("smoothing").as_double());
  EXPECT_NEAR(loss.item<double>(), golden.at("loss").as_double(), tolerance::kFp64Network);
  EXPECT_LT(golden_difference(logits, pairs, golden), tolerance::kFp64Network);
  loss.backward();
  golden::check_gradients(*translator, golden);
}

TEST(TranslatorGoldens, LogitsInFp32AndUnderAutocast) {
  const Json golden = golden::read("translator.json").as_array()[0];
  const GoldenPairs pairs = golden_pairs(golden);
  for (const auto& [preset, near] : {std::pair("fp32", tolerance::kFp32Network),
                                     {"fp16", tolerance::kFp16Network},
                                     {"bf16", tolerance::kBf16Network}}) {
    SCOPED_TRACE(preset);
    const auto translator = golden_translator(golden);
    const Autocast autocast(Policy::preset(preset));
    const auto logits = translator->forward(pairs.tokens, pairs.mask, pairs.prefix);
    EXPECT_LT(golden_difference(logits, pairs, golden), near);
  }
}

TEST(Translator, PaddingAndWhatIsBehindChangeNothing) {
  const torch::NoGradGuard no_grad;
  const auto translator = tiny_translator();
  const TwoTexts texts(4), wider(9);
  const auto logits = translator->forward(texts.tokens, texts.mask, texts.prefix);
  auto other = texts.prefix.clone();
  other.select(1, 3).fill_(9);
  const auto changed = translator->forward(wider.tokens, wider.mask, other);
  const auto expected = logits.narrow(1, 0, 3).to(torch::kDouble).flatten();
  EXPECT_LT(golden::difference(changed.narrow(1, 0, 3), expected), tolerance::kFp32);
  EXPECT_FALSE(torch::equal(changed.select(1, 3), logits.select(1, 3)));
}

TEST(Translator, StepsGiveWhatForwardGives) {
  const torch::NoGradGuard no_grad;
  const auto translator = tiny_translator();
  const TwoTexts texts(4);
  const auto logits = translator->forward(texts.tokens, texts.mask, texts.prefix);
  DecoderState state = translator->start(texts.tokens, texts.mask);
  for (std::int64_t t = 0; t < 4; ++t) {
    // Two beams of each text, which change places.
    const auto tokens = texts.prefix.select(1, t).unsqueeze(1).expand({2, 2}).contiguous();
    const auto step = translator->step(tokens, state);
    for (std::int64_t beam = 0; beam < 2; ++beam) {
      EXPECT_LT(golden::difference(step.select(1, beam),
                                   logits.select(1, t).to(torch::kDouble).flatten()),
                tolerance::kFp32);
    }
    state.select(torch::arange(2), torch::tensor({1, 0, 3, 2}, torch::kLong));
  }
}

TEST(Translator, TextThatIsMaskedAsAWholeStaysFiniteInEveryFormat) {
  for (const bool halftone_kernels : {false, true}) {
    halftone_kernels ? enable() : disable();
    for (const char* preset : {"fp32", "fp16", "bf16"}) {
      SCOPED_TRACE(preset);
      const auto translator = tiny_translator();
      const Autocast autocast(Policy::preset(preset));
      TwoTexts texts(4);
      texts.mask[1].fill_(false);
      const auto logits = translator->forward(texts.tokens, texts.mask, texts.prefix);
      EXPECT_TRUE(logits.isfinite().all().item<bool>());
      logits.to(torch::kFloat).pow(2).sum().backward();
      for (const auto& item : translator->named_parameters()) {
        EXPECT_TRUE(item.value().grad().isfinite().all().item<bool>()) << item.key();
      }
    }
  }
  enable();
}

TEST(Translator, WhatDoesNotFitIsAnError) {
  const auto translator = tiny_translator();
  const TwoTexts texts(4), longer(10);
  EXPECT_ERROR(translator->forward(longer.tokens, longer.mask, texts.prefix), "at most the 9");
  EXPECT_ERROR(translator->forward(texts.tokens, texts.mask, texts.prefix[0]), "prefix [4]");
  EXPECT_ERROR(Translator(TranslatorOptions{.vocabulary = 5, .heads = 5}),
               "translator, width: 256");
  EXPECT_ERROR(Translator(TranslatorOptions{}), "translator, vocabulary: 0");
}

// log P(said, end) / ((5 + tokens) / 6) of all translations of up to `left` more tokens.
void try_all(Translator& translator, const TwoTexts& texts, std::vector<std::int64_t>& said,
             std::size_t longest, double& best_score, std::vector<std::int64_t>& best) {
  auto prefix = said;
  prefix.insert(prefix.begin(), kStart);
  const auto logits = translator.forward(texts.tokens.narrow(0, 0, 1), texts.mask.narrow(0, 0, 1),
                                         torch::tensor(prefix, torch::kLong).unsqueeze(0));
  const auto logs = logits[0].to(torch::kDouble).log_softmax(1);
  double score = logs[static_cast<std::int64_t>(said.size())][kEnd].item<double>();
  for (std::size_t i = 0; i < said.size(); ++i) {
    score += logs[static_cast<std::int64_t>(i)][said[i]].item<double>();
  }
  score /= (5 + static_cast<double>(said.size()) + 1) / 6;
  if (best_score == 0 || score > best_score) {
    best_score = score;
    best = said;
  }
  if (said.size() == longest) return;
  for (const std::int64_t token : {3, 4}) {
    said.push_back(token);
    try_all(translator, texts, said, longest, best_score, best);
    said.pop_back();
  }
}

TEST(BeamSearch, EnoughBeamsFindTheBestOfAllTranslations) {
  const torch::NoGradGuard no_grad;
  const auto translator = tiny_translator(5);
  const TwoTexts texts(4, 5);
  double best_score = 0;
  std::vector<std::int64_t> said, best;
  try_all(*translator, texts, said, 3, best_score, best);
  const BeamOptions options{
      .beams = 16, .start = kStart, .end = kEnd, .never = {0, kStart}, .longest = 4};
  EXPECT_EQ(beam_search(*translator, texts.tokens, texts.mask, options)[0], best);
}

TEST(BeamSearch, OneBeamTakesTheLikeliestTokenEachTime) {
  const torch::NoGradGuard no_grad;
  const auto translator = tiny_translator();
  const TwoTexts texts(4);
  const BeamOptions options{.beams = 1, .start = kStart, .end = kEnd, .longest = 6};
  const auto found = beam_search(*translator, texts.tokens, texts.mask, options);
  for (std::int64_t row = 0; row < 2; ++row) {
    std::vector<std::int64_t> said;
    while (said.size() < 6) {
      auto prefix = said;
      prefix.insert(prefix.begin(), kStart);
      const auto logits =
          translator->forward(texts.tokens.narrow(0, row, 1), texts.mask.narrow(0, row, 1),
                              torch::tensor(prefix, torch::kLong).unsqueeze(0));
      const auto token = logits[0][-1].argmax().item<std::int64_t>();
      if (token == kEnd) break;
      said.push_back(token);
    }
    EXPECT_EQ(found[static_cast<std::size_t>(row)], said);
  }
  EXPECT_ERROR(beam_search(*translator, texts.tokens, texts.mask, {.beams = 0}), "beams: 0");
  EXPECT_ERROR(beam_search(*translator, texts.tokens, texts.mask, {.end = 11}), "0 to 10");
}

}  // namespace
}  // namespace halftone::models
