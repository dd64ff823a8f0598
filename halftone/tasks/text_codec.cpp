#include "halftone/tasks/text_codec.h"

#include <utility>

#include "halftone/base/error.h"
#include "halftone/base/text.h"
#include "halftone/data/utf8.h"

namespace halftone::tasks {
namespace {

class CharacterCodec : public TextCodec {
 public:
  explicit CharacterCodec(data::Vocabulary vocabulary) : vocabulary_(std::move(vocabulary)) {}

  std::int64_t size() const override { return vocabulary_.size(); }
  std::vector<std::int64_t> encode(std::string_view text, const std::string& where) const override {
    std::vector<std::int64_t> tokens;
    for (const std::string_view character : data::utf8_characters(text, where)) {
      const auto number = vocabulary_.number(character);
      if (!number) {
        throw UsageError(quote(character) + ", which the training text does not have",
                         "its " + std::to_string(size()) + " characters", where);
      }
      tokens.push_back(*number);
    }
    return tokens;
  }
  std::string decode(std::span<const std::int64_t> tokens) const override {
    std::string text;
    for (const std::int64_t token : tokens) text += vocabulary_.token(token);
    return text;
  }

 private:
  data::Vocabulary vocabulary_;
};

class PieceCodec : public TextCodec {
 public:
  explicit PieceCodec(data::SentencePieces pieces) : pieces_(std::move(pieces)) {}

  std::int64_t size() const override { return pieces_.size(); }
  std::vector<std::int64_t> encode(std::string_view text, const std::string& where) const override {
    data::utf8_characters(text, where);  // here, where the offset is that in the whole text
    std::vector<std::int64_t> tokens;
    while (true) {
      const auto length = text.find('\n');
      const auto line = pieces_.encode(text.substr(0, length), where);
      tokens.insert(tokens.end(), line.begin(), line.end());
      if (length == text.npos) return tokens;
      tokens.push_back(pieces_.end());
      text.remove_prefix(length + 1);
    }
  }
  std::string decode(std::span<const std::int64_t> tokens) const override {
    std::string text;
    for (std::size_t begin = 0, i = 0; i <= tokens.size(); ++i) {
      if (i < tokens.size() && tokens[i] != pieces_.end()) continue;
      text += pieces_.decode(tokens.subspan(begin, i - begin));
      if (i < tokens.size()) text += '\n';
      begin = i + 1;
    }
    return text;
  }

 private:
  data::SentencePieces pieces_;
};

}  // namespace

std::shared_ptr<const TextCodec> character_codec(data::Vocabulary vocabulary) {
  return std::make_shared<CharacterCodec>(std::move(vocabulary));
}

std::shared_ptr<const TextCodec> piece_codec(data::SentencePieces pieces) {
  return std::make_shared<PieceCodec>(std::move(pieces));
}

}  // namespace halftone::tasks
