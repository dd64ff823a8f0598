// How the text of a language model becomes tokens and is put together from them again.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "halftone/data/codec/sentence_piece.h"
#include "halftone/data/vocabulary.h"

namespace halftone::tasks {

// Thread-safe.
class TextCodec {
 public:
  virtual ~TextCodec() = default;
  virtual std::int64_t size() const = 0;  // tokens there are
  // Of UTF-8 text; where: what it is, for messages. Throws Error with the offset of a byte that is
  // no UTF-8.
  virtual std::vector<std::int64_t> encode(std::string_view text,
                                           const std::string& where) const = 0;
  virtual std::string decode(std::span<const std::int64_t> tokens) const = 0;
};

// A token for each character of `vocabulary`; encode() throws UsageError for others.
std::shared_ptr<const TextCodec> character_codec(data::Vocabulary vocabulary);

// Pieces of lines (data::PieceText::exact); the token of an end stands for a line's. Any text can
// be encoded, and comes back byte for byte.
std::shared_ptr<const TextCodec> piece_codec(data::SentencePieces pieces);

}  // namespace halftone::tasks
