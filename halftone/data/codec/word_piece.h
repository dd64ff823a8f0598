// BERT's tokens: basic tokenisation, then the longest pieces that a vocabulary has (Devlin et al.
// 2019, 3; Wu et al. 2016, 4.1).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "halftone/data/vocabulary.h"

namespace halftone::data {

struct WordPiece {
  std::int64_t token = 0;
  std::int64_t begin = 0, end = 0;  // the characters (code points) of the text that it stands for

  bool operator==(const WordPiece&) const = default;
};

// Tokens and places as Hugging Face's BertTokenizerFast gives them with add_special_tokens=False
// and split_special_tokens=True: "[SEP]" in a text is five characters, not the end of it.
// Thread-safe.
class WordPieceTokenizer {
 public:
  // lower_case: lower case without accents, as "uncased" vocabularies want it. where: the file, for
  // messages. Throws Error where the vocabulary lacks [PAD], [UNK], [CLS] or [SEP].
  WordPieceTokenizer(Vocabulary vocabulary, bool lower_case, const std::string& where);

  // Of UTF-8 text; where: what it is, for the message. Throws Error with the offset of a byte that
  // is none. A word of more than 100 characters, and one that can't be put together, is [UNK].
  std::vector<WordPiece> pieces(std::string_view text, const std::string& where) const;

  std::int64_t padding() const { return padding_; }
  std::int64_t start() const { return start_; }          // [CLS]
  std::int64_t separator() const { return separator_; }  // [SEP]
  std::int64_t size() const { return vocabulary_.size(); }

 private:
  struct Character {
    char32_t code;
    std::int64_t begin, end;
  };
  using Characters = std::vector<Character>;

  Characters normalized(std::string_view text, const std::string& where) const;
  void add_word(const Character* first, const Character* last, std::vector<WordPiece>& out) const;

  Vocabulary vocabulary_;
  bool lower_case_;
  std::int64_t padding_, unknown_, start_, separator_;
};

}  // namespace halftone::data
