#include "halftone/tasks/text_classifier.h"

#include <utility>

#include "halftone/data/sets/labelled_lines.h"
#include "halftone/data/utf8.h"

namespace halftone::tasks {
namespace {

class WordClassifier : public TextClassifier {
 public:
  WordClassifier(std::shared_ptr<models::TextCnn> cnn, data::Vocabulary vocabulary)
      : cnn_(std::move(cnn)),
        vocabulary_(std::move(vocabulary)),
        unknown_(*vocabulary_.number(kUnknownWord)) {}

  std::shared_ptr<torch::nn::Module> module() const override { return cnn_; }
  at::Tensor forward(const at::Tensor& tokens, const at::Tensor& mask) override {
    return cnn_->forward(tokens, mask);
  }
  TextTokens tokens(const std::string& text, const std::string& where) const override {
    data::utf8_characters(text, where);
    TextTokens result;
    for (const std::string& word : data::words_of(text)) {
      result.numbers.push_back(vocabulary_.number(word).value_or(unknown_));
    }
    return result;
  }

 private:
  std::shared_ptr<models::TextCnn> cnn_;
  data::Vocabulary vocabulary_;
  std::int64_t unknown_;
};

class PieceClassifier : public TextClassifier {
 public:
  PieceClassifier(std::shared_ptr<models::EncoderClassifier> encoder,
                  data::WordPieceTokenizer tokenizer)
      : encoder_(std::move(encoder)), tokenizer_(std::move(tokenizer)) {}

  std::shared_ptr<torch::nn::Module> module() const override { return encoder_; }
  at::Tensor forward(const at::Tensor& tokens, const at::Tensor& mask) override {
    return encoder_->forward(tokens, mask);
  }
  TextTokens tokens(const std::string& text, const std::string& where) const override {
    TextTokens result;
    result.numbers.push_back(tokenizer_.start());
    for (const auto& piece : tokenizer_.pieces(text, where)) result.numbers.push_back(piece.token);
    const auto most = static_cast<std::size_t>(encoder_->encoder().options().positions) - 1;
    result.cut = result.numbers.size() > most;
    if (result.cut) result.numbers.resize(most);
    result.numbers.push_back(tokenizer_.separator());
    return result;
  }

 private:
  std::shared_ptr<models::EncoderClassifier> encoder_;
  data::WordPieceTokenizer tokenizer_;
};

}  // namespace

std::shared_ptr<TextClassifier> word_classifier(std::shared_ptr<models::TextCnn> cnn,
                                                data::Vocabulary vocabulary) {
  return std::make_shared<WordClassifier>(std::move(cnn), std::move(vocabulary));
}

std::shared_ptr<TextClassifier> encoder_classifier(
    std::shared_ptr<models::EncoderClassifier> encoder, data::WordPieceTokenizer tokenizer) {
  return std::make_shared<PieceClassifier>(std::move(encoder), std::move(tokenizer));
}

}  // namespace halftone::tasks
