// Pieces of words by SentencePiece's library: byte-pair encoding (Sennrich et al. 2016) over text
// that is not cut at spaces first (Kudo and Richardson 2018).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace halftone::data {

enum class PieceText {
  normalised,  // NFKC, and single spaces for white space
  exact,       // nothing: what is encoded comes back byte for byte, but for line ends; characters
               // that the sentences don't have are spelled in bytes
};

// The content of a model file, which SentencePiece's own tools read too, learned from UTF-8
// sentences: `vocabulary` tokens at most, those of padding, the unknown, start and end among them
// as 0 to 3. The same sentences give the same bytes. where: what they are, for messages. Throws
// Error where there is nothing to learn from, or more characters than tokens.
std::string train_sentence_pieces(const std::vector<std::string_view>& sentences,
                                  std::int64_t vocabulary, const std::string& where,
                                  PieceText text = PieceText::normalised);

// Thread-safe.
class SentencePieces {
 public:
  // model: a model file's content; where: the file, for messages. Throws Error for what is no model
  // and for one without padding, unknown, start or end.
  SentencePieces(const std::string& model, const std::string& where);

  // Of UTF-8 text, without start and end; empty where there is nothing but white space that is
  // normalised. where: what it is, for the message. Throws Error with the offset of a byte that is
  // no UTF-8.
  std::vector<std::int64_t> encode(std::string_view text, const std::string& where) const;
  // The text that the tokens (0 to size() - 1) stand for; padding, start and end stand for nothing.
  std::string decode(std::span<const std::int64_t> tokens) const;

  std::int64_t size() const;
  std::int64_t padding() const;
  std::int64_t unknown() const;
  std::int64_t start() const;
  std::int64_t end() const;

 private:
  std::shared_ptr<const sentencepiece::SentencePieceProcessor> processor_;
};

}  // namespace halftone::data
