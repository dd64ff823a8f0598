#include "halftone/tasks/pretrained.h"

#include <ATen/core/grad_mode.h>

#include <cstdlib>

#include "tests/support/test.h"
#include "tests/support/tolerances.h"
#include "tests/tasks/pretrained_fixture.h"

namespace halftone::tasks {
namespace {

RunConfig encoder_config(const std::filesystem::path& folder) {
  RunConfig config;
  config.pretrained = folder;
  config.policy = Policy::preset("fp32");
  return config;
}

models::EncoderOptions options_of(const std::filesystem::path& folder) {
  return encoder_options(encoder_config(folder), pretrained_assets(folder));
}

// As Hugging Face's BertModel, whose pooler neither task uses.
struct WithPooler : torch::nn::Module {
  explicit WithPooler(const models::EncoderOptions& options)
      : bert(register_module("bert", std::make_shared<models::Encoder>(options))) {}
  std::shared_ptr<models::Encoder> bert;
};

void expect_tiny_weights(models::Encoder& encoder) {
  const NamedTensors all = tiny_weights();
  const std::map<std::string, at::Tensor> expected(all.begin(), all.end());
  for (const auto& [name, tensor] : named_weights(encoder)) {
    EXPECT_TRUE(at::equal(tensor, expected.at(name))) << name;
  }
}

TEST(Pretrained, WeightsLoadByNameWithAndWithoutThePrefix) {
  NamedTensors prefixed = tiny_weights("bert.");
  prefixed.emplace_back("bert.embeddings.position_ids", at::arange(kTinyPositions));
  prefixed.emplace_back("cls.predictions.bias", at::zeros({36}));  // of another head
  for (const NamedTensors& weights : {tiny_weights(), prefixed}) {
    const TinyBert bert(weights);
    models::EncoderClassifier classifier(options_of(bert.path()), 2);
    load_pretrained(classifier, bert.path());
    expect_tiny_weights(classifier.encoder());
    models::EncoderSpans spans(options_of(bert.path()));
    load_pretrained(spans, bert.path());
    expect_tiny_weights(spans.encoder());
    WithPooler pooled(options_of(bert.path()));  // the others leave the file's out
    load_pretrained(pooled, bert.path());
    expect_tiny_weights(*pooled.bert);
  }
}

TEST(Pretrained, MissingAndExtraTensorsAreOneLineThatNamesTheFirstThree) {
  NamedTensors weights = tiny_weights();
  std::erase_if(weights,
                [](const auto& item) { return item.first.starts_with("embeddings.LayerNorm."); });
  weights.emplace_back("encoder.layer.2.output.dense.bias", at::zeros({64}));
  weights.emplace_back("encoder.layer.2.output.dense.weight", at::zeros({64, 128}));
  const TinyBert bert(weights);
  models::EncoderClassifier classifier(options_of(bert.path()), 2);
  const NamedTensors before = named_weights(classifier);
  const at::Tensor first = before[0].second.clone();
  EXPECT_ERROR(
      load_pretrained(classifier, bert.path()),
      "model.safetensors: another model's weights: embeddings.LayerNorm.weight missing (the "
      "model's is [64]), embeddings.LayerNorm.bias missing (the model's is [64]), "
      "encoder.layer.2.output.dense.bias [64] (the model has none) and 1 more; expected");
  EXPECT_TRUE(at::equal(before[0].second, first));
}

TEST(Pretrained, FoldersThatAreNoneAreErrorsThatNameTheFile) {
  const TinyBert bert;
  const auto file = [&](const char* name) { return bert.path() / name; };
  EXPECT_ERROR(pretrained_assets("/nonexistent"), "/nonexistent/config.json: cannot read");
  EXPECT_ERROR(encoder_options(encoder_config(""), {}),
               "model encoder: no --pretrained; expected a Hugging Face folder");
  write_file(file("vocab.txt"), read_file(file("vocab.txt")) + "more\n");
  EXPECT_ERROR(options_of(bert.path()), "vocab.txt: 37 tokens; expected at most the 36");
  write_file(file("config.json"), "{");
  EXPECT_ERROR(options_of(bert.path()), "config.json");
  torch::nn::Linear other(2, 2);
  EXPECT_ERROR(load_pretrained(*other, bert.path()), "--pretrained: a network without an encoder");
}

TEST(Pretrained, CaseCountsWhereTheTokenizersConfigurationSaysSo) {
  const TinyBert bert;
  const auto first = [&] {
    return word_piece_tokenizer(pretrained_assets(bert.path())).pieces("Film", "text")[0].token;
  };
  EXPECT_EQ(first(), 8);
  write_file(bert.path() / "tokenizer_config.json", R"({"do_lower_case": false})");
  EXPECT_EQ(first(), 1);  // [UNK]
}

// HALFTONE_BERT: a folder with real weights in which tests/goldens/encoder.py has left states.json.
TEST(Pretrained, RealWeightsGiveHuggingFacesStates) {
  const char* folder = std::getenv("HALFTONE_BERT");
  if (!folder) GTEST_SKIP() << "HALFTONE_BERT is not set";
  const Json golden = Json::parse(read_file(std::filesystem::path(folder) / "states.json"));
  const auto numbers = [&](const char* key) {
    std::vector<double> values;
    for (const Json& value : golden.at(key).as_array()) values.push_back(value.as_double());
    return torch::tensor(values, torch::kDouble);
  };
  WithPooler network(options_of(folder));
  load_pretrained(network, folder);
  network.eval();
  const at::NoGradGuard no_grad;
  const auto tokens = numbers("tokens").to(torch::kLong).unsqueeze(0);
  auto& encoder = *network.bert;
  const auto states = encoder.forward(tokens, torch::ones_like(tokens).to(torch::kBool));
  const auto near = [&](const at::Tensor& given, const char* key) {
    const auto expected = numbers(key);
    const auto error = (given.to(torch::kDouble).flatten() - expected).abs().max();
    return (error / expected.abs().max()).item<double>();
  };
  EXPECT_LT(near(states, "states"), tolerance::kFp32Network);
  EXPECT_LT(near(encoder.pooled(states), "pooled"), tolerance::kFp32Network);
  std::printf("largest difference %.2g\n", near(states, "states"));
}

}  // namespace
}  // namespace halftone::tasks
