#include "halftone/data/codec/sentence_piece.h"

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <unordered_map>

#include "halftone/base/error.h"
#include "halftone/data/utf8.h"

namespace halftone::data {
namespace {

constexpr int kErrorsOnly = 2;  // of what the library writes to stderr

class Sentences : public sentencepiece::SentenceIterator {
 public:
  explicit Sentences(const std::vector<std::string_view>& sentences) : sentences_(sentences) {
    load();
  }
  bool done() const override { return next_ >= sentences_.size(); }
  void Next() override {
    ++next_;
    load();
  }
  const std::string& value() const override { return value_; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  void load() {
    if (!done()) value_ = sentences_[next_];
  }

  const std::vector<std::string_view>& sentences_;
  std::size_t next_ = 0;
  std::string value_;
};

}  // namespace

std::string train_sentence_pieces(const std::vector<std::string_view>& sentences,
                                  std::int64_t vocabulary, const std::string& where,
                                  PieceText text) {
  std::unordered_map<std::string, std::string> options{
      {"model_type", "bpe"},
      {"vocab_size", std::to_string(vocabulary)},
      {"hard_vocab_limit", "false"},  // a short text has fewer pieces
      {"character_coverage", "1.0"},
      {"pad_id", "0"},
      {"unk_id", "1"},
      {"bos_id", "2"},
      {"eos_id", "3"},
      {"minloglevel", std::to_string(kErrorsOnly)}};
  if (text == PieceText::exact) {
    options["normalization_rule_name"] = "identity";
    options["remove_extra_whitespaces"] = "false";
    options["byte_fallback"] = "true";
  }
  Sentences iterator(sentences);
  std::string model;
  const auto status = sentencepiece::SentencePieceTrainer::Train(options, &iterator, &model);
  if (!status.ok()) {
    throw Error("SentencePiece learns no pieces: " + status.ToString(),
                "sentences of at most some thousand different characters", where);
  }
  return model;
}

SentencePieces::SentencePieces(const std::string& model, const std::string& where) {
  auto processor = std::make_shared<sentencepiece::SentencePieceProcessor>();
  if (!processor->LoadFromSerializedProto(model).ok()) {
    throw Error("no SentencePiece model", "the content of a .model file", where);
  }
  if (processor->pad_id() < 0 || processor->unk_id() < 0 || processor->bos_id() < 0 ||
      processor->eos_id() < 0) {
    throw Error("a SentencePiece model without padding, start or end", "one with all of them",
                where);
  }
  processor_ = std::move(processor);
}

std::vector<std::int64_t> SentencePieces::encode(std::string_view text,
                                                 const std::string& where) const {
  utf8_characters(text, where);
  std::vector<int> tokens;
  const auto status = processor_->Encode({text.data(), text.size()}, &tokens);
  if (!status.ok()) throw Error(status.ToString(), "a text for SentencePiece", where);
  return {tokens.begin(), tokens.end()};
}

std::string SentencePieces::decode(std::span<const std::int64_t> tokens) const {
  std::string text;
  const auto status = processor_->Decode(std::vector<int>(tokens.begin(), tokens.end()), &text);
  if (!status.ok()) throw Error(status.ToString(), "tokens of the SentencePiece model", "decode");
  return text;
}

std::int64_t SentencePieces::size() const { return processor_->GetPieceSize(); }
std::int64_t SentencePieces::padding() const { return processor_->pad_id(); }
std::int64_t SentencePieces::unknown() const { return processor_->unk_id(); }
std::int64_t SentencePieces::start() const { return processor_->bos_id(); }
std::int64_t SentencePieces::end() const { return processor_->eos_id(); }

}  // namespace halftone::data
