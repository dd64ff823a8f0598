// Questions and the texts they are about, cut into windows that an encoder takes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "halftone/data/codec/word_piece.h"
#include "halftone/data/sets/squad.h"
#include "halftone/data/span_windows.h"

namespace halftone::tasks {

// Characters of a text: begin to end - 1.
struct CharacterSpan {
  std::int64_t begin = 0, end = 0;
};

// Windows of at most `longest` tokens, each a question with a part of its text; parts overlap by
// 128 pieces, or half a part where that is fewer, so that an answer is whole in one of them (Devlin
// et al.'s code: doc_stride). Thread-safe once it is filled.
class QuestionWindows {
 public:
  QuestionWindows(const data::WordPieceTokenizer& tokenizer, std::int64_t longest)
      : tokenizer_(tokenizer), longest_(longest) {}

  // What a question's tokens may be: a third of a window's.
  std::int64_t longest_question() const { return longest_ / 3; }

  // Adds the questions. trained: only those whose answer is where the file says. Those that are too
  // long are left out. Returns how many were left out. where: the file, for messages.
  std::int64_t add(const data::SquadParagraph& paragraph, bool trained, const std::string& where);

  std::int64_t questions() const { return static_cast<std::int64_t>(questions_.size()); }
  const data::SquadQuestion& question(std::int64_t index) const {
    return questions_[static_cast<std::size_t>(index)].question;
  }
  // Of a window: its question.
  std::int64_t question_of(std::int64_t window) const { return place(window).question; }
  // The characters that two of a window's tokens, of the text, stand for with all between them.
  CharacterSpan characters(std::int64_t window, std::int64_t first, std::int64_t last) const;
  // Characters of the text that a question is about.
  std::string text(std::int64_t question, CharacterSpan span) const;

  std::shared_ptr<const data::SpanWindows> batches() const {
    return std::make_shared<data::SpanWindows>(windows_, tokenizer_.padding());
  }

 private:
  struct Text {
    std::string text;
    std::vector<data::WordPiece> pieces;
  };
  struct Asked {
    data::SquadQuestion question;
    std::shared_ptr<const Text> text;
  };
  struct Place {
    std::int64_t question, first_piece, text_begin;
  };

  const Place& place(std::int64_t window) const {
    return places_[static_cast<std::size_t>(window)];
  }
  void add_windows(const std::vector<data::WordPiece>& question);
  data::SpanWindow window(const std::vector<data::WordPiece>& question, std::int64_t begin,
                          std::int64_t end) const;

  const data::WordPieceTokenizer& tokenizer_;
  std::int64_t longest_;
  std::vector<Asked> questions_;
  std::vector<data::SpanWindow> windows_;
  std::vector<Place> places_;
};

}  // namespace halftone::tasks
