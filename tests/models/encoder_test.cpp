// The encoder against Hugging Face's BertModel (tests/goldens/encoder.py), and its masks.
#include "halftone/models/encoder.h"

#include "halftone/ops/enable.h"
#include "halftone/precision/autocast.h"
#include "tests/models/golden.h"

namespace halftone::models {
namespace {

struct Texts {
  at::Tensor tokens, mask, types;
};

// As batch() in encoder.py, padded to `width` with tokens that are not zero.
Texts golden_texts(const Json& golden, std::int64_t width) {
  std::vector<std::int64_t> lengths;
  for (const Json& length : golden.at("lengths").as_array()) lengths.push_back(length.as_int());
  const auto vocabulary = golden.at("config").at("vocab_size").as_int();
  const auto n = torch::arange(static_cast<std::int64_t>(lengths.size())).unsqueeze(1);
  const auto t = torch::arange(width), each = torch::tensor(lengths).unsqueeze(1);
  return {(5 * n + 2 * t * t + t) % vocabulary, t < each, (2 * t >= each).to(torch::kLong)};
}

at::Tensor dot_with_unit(const at::Tensor& value, const std::string& name) {
  return (value.flatten() * golden::unit(value.numel(), name)).sum();
}

std::shared_ptr<Encoder> golden_encoder(const Json& golden) {
  auto encoder =
      std::make_shared<Encoder>(EncoderOptions::from_config(golden.at("config"), "encoder.json"));
  golden::fill_parameters(*encoder);
  return encoder;
}

TEST(EncoderGoldens, StatesLossAndGradientsInFp64AreHuggingFaces) {
  const Json goldens = golden::read("encoder.json");
  for (const Json& golden : goldens.as_array()) {
    SCOPED_TRACE(golden.at("config").at("hidden_act").as_string());
    const auto encoder = golden_encoder(golden);
    encoder->to(torch::kDouble);
    const Texts texts = golden_texts(golden, 6);
    const auto states = encoder->forward(texts.tokens, texts.mask, texts.types);
    const auto pooled = encoder->pooled(states);
    const auto loss =
        dot_with_unit(states * texts.mask.unsqueeze(2), "states") + dot_with_unit(pooled, "pooled");
    EXPECT_NEAR(loss.item<double>(), golden.at("loss").as_double(), tolerance::kFp64Network);
    EXPECT_LT(golden::difference(states.index({texts.mask}), golden::numbers(golden.at("states"))),
              tolerance::kFp64Network);
    EXPECT_LT(golden::difference(pooled, golden::numbers(golden.at("pooled"))),
              tolerance::kFp64Network);
    loss.backward();
    golden::check_gradients(*encoder, golden);
  }
}

TEST(EncoderGoldens, StatesInFp32AndUnderAutocastWhateverThePadding) {
  enable();
  const Json golden = golden::read("encoder.json").as_array()[0];
  for (const auto& [preset, near] :
       {std::pair("fp32", tolerance::kFp32Network), std::pair("fp16", tolerance::kFp16Network),
        std::pair("bf16", tolerance::kBf16Network)}) {
    for (const std::int64_t width : {6, 9}) {
      SCOPED_TRACE(preset);
      const auto encoder = golden_encoder(golden);
      const Autocast autocast(Policy::preset(preset));
      const Texts texts = golden_texts(golden, width);
      const auto states = encoder->forward(texts.tokens, texts.mask, texts.types);
      EXPECT_LT(
          golden::difference(states.index({texts.mask}), golden::numbers(golden.at("states"))),
          near);
    }
  }
}

// The scores of a text that is masked as a whole are all minus infinity: its attention is zero, not
// 0/0, forward and backward, in LibTorch's kernels and in Halftone's.
TEST(Encoder, TextThatIsMaskedAsAWholeGivesZerosAndNoNanInEveryFormat) {
  const Json golden = golden::read("encoder.json").as_array()[0];
  for (const bool halftone_kernels : {false, true}) {
    halftone_kernels ? enable() : disable();
    for (const char* preset : {"fp32", "fp16", "bf16"}) {
      SCOPED_TRACE(std::string(preset) + (halftone_kernels ? " Halftone's" : " LibTorch's"));
      const auto encoder = golden_encoder(golden);
      const Autocast autocast(Policy::preset(preset));
      Texts texts = golden_texts(golden, 6);
      texts.mask[1].fill_(false);
      const auto states = encoder->forward(texts.tokens, texts.mask, texts.types);
      EXPECT_TRUE(states.isfinite().all().item<bool>());
      // Its tokens differ, and attention would mix them: without it each state depends on its own.
      Texts other = golden_texts(golden, 6);
      other.mask[1].fill_(false);
      other.tokens[1][3] = 0;
      const auto changed = encoder->forward(other.tokens, other.mask, other.types);
      EXPECT_TRUE(torch::equal(changed[1][0], states[1][0]));
      EXPECT_FALSE(torch::equal(changed[1][3], states[1][3]));
      states.to(torch::kFloat).pow(2).sum().backward();
      for (const auto& item : encoder->named_parameters()) {
        if (!item.value().grad().defined()) continue;
        EXPECT_TRUE(item.value().grad().isfinite().all().item<bool>()) << item.key();
      }
    }
  }
  enable();
}

TEST(Encoder, ClassesFollowFromTheTokensThatAreThereAndFromNoneTheBias) {
  const Json golden = golden::read("encoder.json").as_array()[0];
  EncoderClassifier classifier(EncoderOptions::from_config(golden.at("config"), "encoder.json"), 2);
  golden::fill_parameters(classifier);
  for (const auto& [preset, near] :
       {std::pair("fp32", tolerance::kFp32Network), std::pair("fp16", tolerance::kFp16Network),
        std::pair("bf16", tolerance::kBf16Network)}) {
    SCOPED_TRACE(preset);
    const Autocast autocast(Policy::preset(preset));
    Texts texts = golden_texts(golden, 6), wider = golden_texts(golden, 9);
    texts.mask[1].fill_(false);
    wider.mask[1].fill_(false);
    const auto logits = classifier.forward(texts.tokens, texts.mask).to(torch::kDouble);
    EXPECT_LT(golden::difference(classifier.forward(wider.tokens, wider.mask), logits.flatten()),
              near);
    const auto bias = classifier.named_parameters()["classifier.bias"];
    EXPECT_LT(golden::difference(logits[1], bias.to(torch::kDouble)), near);
    // The last text's one token is its mean.
    const auto states = classifier.encoder().forward(texts.tokens, texts.mask);
    const auto weight = classifier.named_parameters()["classifier.weight"];
    const auto expected = torch::linear(states[2][0].to(torch::kFloat), weight.to(torch::kFloat),
                                        bias.to(torch::kFloat));
    EXPECT_LT(golden::difference(logits[2], expected.to(torch::kDouble)), near);
  }
}

TEST(Encoder, WhatDoesNotFitIsAnErrorWithGivenAndExpected) {
  const Json golden = golden::read("encoder.json").as_array()[0];
  const auto encoder = golden_encoder(golden);
  const Texts texts = golden_texts(golden, 10);
  EXPECT_ERROR(encoder->forward(texts.tokens, texts.mask),
               "encoder: tokens [3, 10] of Long, mask [3, 10] of Bool; expected (N, T) of Long, "
               "Bool and Long, T at most the 9 positions");
  const Texts fitting = golden_texts(golden, 6);
  EXPECT_ERROR(encoder->forward(fitting.tokens, fitting.mask.to(torch::kFloat)), "of Float");
  EXPECT_ERROR(encoder->forward(fitting.tokens, fitting.mask, texts.types), "types [3, 10]");
  EXPECT_ERROR(EncoderSpans(encoder->options()).encoder().pooled(fitting.tokens), "no pooler");
}

TEST(Encoder, ConfigurationsThatAreNoBertsAreErrorsThatNameTheKey) {
  const auto with = [](const std::string& key, Json value) {
    Json config = golden::read("encoder.json").as_array()[0].at("config");
    config[key] = std::move(value);
    return EncoderOptions::from_config(config, "config.json");
  };
  EXPECT_ERROR(with("model_type", "roberta"),
               "config.json: model_type \"roberta\"; expected \"bert\"");
  EXPECT_ERROR(with("hidden_act", "relu"), "hidden_act \"relu\"; expected gelu, gelu_new or");
  EXPECT_ERROR(with("position_embedding_type", "relative_key"), "\"relative_key\"");
  EXPECT_ERROR(with("is_decoder", true), "is_decoder true");
  EXPECT_ERROR(with("hidden_size", "12"), "\"hidden_size\" is no number");
  EXPECT_ERROR(EncoderOptions::from_config(Json::object(), "config.json"), "model_type \"\"");
  EXPECT_ERROR(Encoder{with("hidden_size", 13)},
               "encoder, width: 13; expected a multiple of the 3");
  EXPECT_ERROR(Encoder{with("num_hidden_layers", 0)}, "encoder, layers: 0; expected 1 or more");
  EXPECT_ERROR(Encoder{with("hidden_dropout_prob", 1)}, "encoder, dropout: 1");
}

}  // namespace
}  // namespace halftone::models
