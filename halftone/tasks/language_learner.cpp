#include "halftone/tasks/language_learner.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/multinomial.h>
#include <ATen/ops/tensor.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <cmath>

#include "halftone/base/error.h"
#include "halftone/base/text.h"
#include "halftone/data/token_windows.h"
#include "halftone/data/utf8.h"

namespace halftone::tasks {
namespace {

constexpr std::int64_t kLength = 300;
constexpr double kTemperature = 0.8;
constexpr std::size_t kMostTokens = 4;  // of a character: the bytes that spell it

// Mean over the targets that are not kIgnoredTarget; in fp32 under Autocast, which is where it is
// called.
at::Tensor next_token_loss(models::Gpt& gpt, const data::Batch& batch) {
  const at::Tensor output = gpt.forward(batch.input);
  RECORD_USER_SCOPE("loss");
  return at::cross_entropy_loss(output.flatten(0, 1), batch.target.flatten());
}

class LanguageMeter : public Meter {
 public:
  LanguageMeter(models::Gpt& gpt, std::vector<metrics::MetricKind> kinds,
                double tokens_per_character)
      : gpt_(gpt), kinds_(std::move(kinds)), tokens_per_character_(tokens_per_character) {}

  void add(const data::Batch& batch) override {
    const auto counted = batch.target.ne(data::kIgnoredTarget).sum().item<std::int64_t>();
    loss_.add(next_token_loss(gpt_, batch).item<double>(), counted);
    sequences_ += batch.input.size(0);
  }
  std::int64_t samples() const override { return sequences_; }
  double loss() const override { return loss_.mean(); }
  std::vector<metrics::MetricValue> values() const override {
    return {{kinds_[0], loss_.mean() * tokens_per_character_}, {kinds_[1], std::exp(loss_.mean())}};
  }

 private:
  models::Gpt& gpt_;
  std::vector<metrics::MetricKind> kinds_;
  double tokens_per_character_;
  metrics::RunningLoss loss_;  // over tokens
  std::int64_t sequences_ = 0;
};

// A token drawn from the `top` largest of `logits` (V).
std::int64_t draw(const at::Tensor& logits, double temperature, std::int64_t top,
                  at::Generator& generator) {
  const auto [values, tokens] = logits.to(at::kDouble).topk(std::min(top, logits.size(0)));
  const auto choice = at::multinomial((values / temperature).softmax(0), 1, false, generator);
  return tokens[choice.item<std::int64_t>()].item<std::int64_t>();
}

}  // namespace

at::Tensor LanguageLearner::loss(const data::Batch& batch) { return next_token_loss(*gpt_, batch); }

std::vector<metrics::MetricKind> LanguageLearner::metrics() const {
  return {{.name = "cross_entropy", .unit = "nats/character", .higher_is_better = false},
          {.name = "perplexity", .higher_is_better = false, .decimals = 3}};
}

std::unique_ptr<Meter> LanguageLearner::meter() {
  return std::make_unique<LanguageMeter>(*gpt_, metrics(), tokens_per_character_);
}

// `text` is continued by so many characters, of which the last token may bring some too many.
std::string LanguageLearner::continued(const std::string& text, const PredictOptions& options) {
  const std::string where = "predict " + quote(text);
  if (text.empty()) throw UsageError("an empty text", "the beginning of one", "predict");
  std::vector<std::int64_t> tokens = codec_->encode(text, where);
  auto generator = at::make_generator<at::CPUGeneratorImpl>(
      static_cast<std::uint64_t>(options.seed.value_or(0)));
  const auto device = gpt_->parameters().front().device();
  const auto known = data::utf8_characters(codec_->decode(tokens), where).size();
  const auto wanted = known + static_cast<std::size_t>(options.length.value_or(kLength));
  const std::size_t most = tokens.size() + kMostTokens * (wanted - known);
  while (true) {
    const std::string all = codec_->decode(tokens);
    const auto characters = data::utf8_characters(all, where);
    if (characters.size() >= wanted || tokens.size() >= most) {
      std::string more;
      for (std::size_t i = known; i < std::min(wanted, characters.size()); ++i) {
        more += characters[i];
      }
      return more;
    }
    const auto seen = std::min<std::size_t>(tokens.size(), static_cast<std::size_t>(context()));
    const at::Tensor window =
        at::tensor(at::ArrayRef<std::int64_t>(tokens).slice(tokens.size() - seen), at::kLong);
    const at::Tensor logits = gpt_->forward(window.unsqueeze(0).to(device));
    tokens.push_back(draw(logits[0][-1].cpu(), options.temperature.value_or(kTemperature),
                          options.top.value_or(codec_->size()), generator));
  }
}

Answers LanguageLearner::predict(const std::vector<std::string>& inputs,
                                 const PredictOptions& options) {
  Answers answers;
  answers.json = Json::array();
  for (const std::string& input : inputs) {
    const std::string continuation = continued(input, options);
    answers.text += (answers.text.empty() ? "" : "\n") + input + continuation + "\n";
    Json entry;
    entry["text"] = input;
    entry["continuation"] = continuation;
    answers.json.push_back(std::move(entry));
  }
  return answers;
}

}  // namespace halftone::tasks
