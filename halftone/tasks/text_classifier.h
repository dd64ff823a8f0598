// What judges a text: how it is cut into tokens, and the network over them.
#pragma once

#include <torch/nn/module.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "halftone/data/codec/word_piece.h"
#include "halftone/data/vocabulary.h"
#include "halftone/models/encoder.h"
#include "halftone/models/text_cnn.h"

namespace halftone::tasks {

inline constexpr const char* kPaddingWord = "<pad>";
inline constexpr const char* kUnknownWord = "<unk>";

struct TextTokens {
  std::vector<std::int64_t> numbers;
  bool cut = false;  // the text was longer than the network takes: its end is missing
};

class TextClassifier {
 public:
  virtual ~TextClassifier() = default;

  virtual std::shared_ptr<torch::nn::Module> module() const = 0;
  // tokens: (N,T) int64; mask: (N,T) bool -> logits (N,classes)
  virtual at::Tensor forward(const at::Tensor& tokens, const at::Tensor& mask) = 0;

  // Thread-safe. where: what the text is, for the message. Throws Error for bytes that are no
  // UTF-8.
  virtual TextTokens tokens(const std::string& text, const std::string& where) const = 0;
};

// By words between spaces. The vocabulary has kPaddingWord and kUnknownWord.
std::shared_ptr<TextClassifier> word_classifier(std::shared_ptr<models::TextCnn> cnn,
                                                data::Vocabulary vocabulary);
// By word pieces between [CLS] and [SEP]; a text that is longer than the positions is cut.
std::shared_ptr<TextClassifier> encoder_classifier(
    std::shared_ptr<models::EncoderClassifier> encoder, data::WordPieceTokenizer tokenizer);

}  // namespace halftone::tasks
