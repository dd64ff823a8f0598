// TextCnn against the same network written in Python PyTorch (tests/goldens/text_cnn.py), which
// knows neither padding nor masks.
#include "halftone/models/text_cnn.h"

#include "halftone/precision/autocast.h"
#include "tests/models/golden.h"

namespace halftone::models {
namespace {

constexpr std::int64_t kWords = 13;

struct Sentences {
  at::Tensor tokens, mask;
};

// As in text_cnn.py, each padded to `width` with tokens that are not zero.
Sentences padded_sentences(const std::vector<std::int64_t>& lengths, std::int64_t width) {
  const auto n = torch::arange(static_cast<std::int64_t>(lengths.size())).unsqueeze(1);
  const auto t = torch::arange(width);
  return {(5 * n + 2 * t * t + t) % kWords, t < torch::tensor(lengths).unsqueeze(1)};
}

TextCnnOptions small_text_cnn() {
  return {.vocabulary = kWords, .width = 6, .maps = 5, .dropout = 0};
}

TEST(TextCnnGoldens, LossLogitsAndGradientsInFp64WhateverThePadding) {
  const Json golden = golden::read("text_cnn.json");
  std::vector<std::int64_t> lengths;
  for (const Json& length : golden.at("lengths").as_array()) lengths.push_back(length.as_int());
  for (const std::int64_t width : {7, 12}) {
    TextCnn cnn(small_text_cnn());
    golden::fill_parameters(cnn);
    cnn.to(torch::kDouble);
    const Sentences sentences = padded_sentences(lengths, width);
    const auto logits = cnn.forward(sentences.tokens, sentences.mask);
    const auto loss = torch::cross_entropy_loss(logits, torch::arange(4) % 2);
    EXPECT_NEAR(loss.item<double>(), golden.at("loss").as_double(), tolerance::kFp64Network);
    EXPECT_LT(golden::difference(logits, golden::numbers(golden.at("logits"))),
              tolerance::kFp64Network);
    loss.backward();
    golden::check_gradients(cnn, golden);
  }
}

TEST(TextCnn, SentenceThatIsMaskedAsAWholeGetsTheBiasInEveryFormat) {
  for (const char* preset : {"fp32", "fp16", "bf16"}) {
    TextCnn cnn(small_text_cnn());
    golden::fill_parameters(cnn);
    const Autocast autocast(Policy::preset(preset));
    Sentences sentences = padded_sentences({3, 0}, 5);
    const auto logits = cnn.forward(sentences.tokens, sentences.mask).to(torch::kFloat);
    const auto bias = cnn.named_parameters()["fc.bias"];
    EXPECT_LT(golden::difference(logits[1], bias.detach().to(torch::kDouble)),
              tolerance::kBf16Unit);
    EXPECT_TRUE(logits.isfinite().all().item<bool>());
  }
}

TEST(TextCnn, WhatDoesNotFitIsAnErrorWithGivenAndExpected) {
  TextCnn cnn(small_text_cnn());
  const Sentences sentences = padded_sentences({3, 2}, 5);
  EXPECT_ERROR(cnn.forward(sentences.tokens, sentences.mask.narrow(1, 0, 4)),
               "mask [2, 4] of Bool");
  EXPECT_ERROR(cnn.forward(sentences.tokens, sentences.mask.to(torch::kFloat)), "of Float");
  auto options = small_text_cnn();
  options.spans = {3, 0};
  EXPECT_ERROR(TextCnn{options}, "text cnn, spans: 0; expected 1 or more");
  options = small_text_cnn();
  options.dropout = 1;
  EXPECT_ERROR(TextCnn{options}, "text cnn, dropout: 1");
}

}  // namespace
}  // namespace halftone::models
