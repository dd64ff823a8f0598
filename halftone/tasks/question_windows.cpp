#include "halftone/tasks/question_windows.h"

#include <algorithm>

#include "halftone/data/utf8.h"

namespace halftone::tasks {
namespace {

constexpr std::int64_t kOverlap = 128;      // pieces
constexpr std::int64_t kSpecialTokens = 3;  // [CLS], [SEP], [SEP]

// The first answer that is where the file says; null: none is.
const data::SquadAnswer* placed_answer(const data::SquadQuestion& question) {
  const auto found = std::find_if(question.answers.begin(), question.answers.end(),
                                  [](const auto& answer) { return answer.begin >= 0; });
  return found == question.answers.end() ? nullptr : &*found;
}

CharacterSpan span_of(const data::SquadAnswer& answer) {
  const auto length = data::utf8_characters(answer.text, "answer").size();
  return {answer.begin, answer.begin + static_cast<std::int64_t>(length)};
}

}  // namespace

std::int64_t QuestionWindows::add(const data::SquadParagraph& paragraph, bool trained,
                                  const std::string& where) {
  const auto text = std::make_shared<const Text>(
      Text{paragraph.context, tokenizer_.pieces(paragraph.context, where)});
  std::int64_t left_out = 0;
  for (const auto& question : paragraph.questions) {
    const auto pieces = tokenizer_.pieces(question.text, where);
    if (static_cast<std::int64_t>(pieces.size()) > longest_question() || text->pieces.empty() ||
        (trained && !placed_answer(question))) {
      ++left_out;
      continue;
    }
    questions_.push_back({question, text});
    add_windows(pieces);
  }
  return left_out;
}

void QuestionWindows::add_windows(const std::vector<data::WordPiece>& question) {
  const auto asked = static_cast<std::int64_t>(question.size());
  const auto size = static_cast<std::int64_t>(questions_.back().text->pieces.size());
  const std::int64_t room = longest_ - asked - kSpecialTokens;
  const std::int64_t step = std::max<std::int64_t>(1, room - std::min(kOverlap, room / 2));
  for (std::int64_t begin = 0;; begin += step) {
    const std::int64_t end = std::min(size, begin + room);
    windows_.push_back(window(question, begin, end));
    places_.push_back({questions() - 1, begin, windows_.back().text_begin});
    if (end == size) return;
  }
}

data::SpanWindow QuestionWindows::window(const std::vector<data::WordPiece>& question,
                                         std::int64_t begin, std::int64_t end) const {
  const auto& pieces = questions_.back().text->pieces;
  data::SpanWindow result;
  auto& tokens = result.tokens;
  tokens.push_back(tokenizer_.start());
  for (const auto& piece : question) tokens.push_back(piece.token);
  tokens.push_back(tokenizer_.separator());
  result.text_begin = static_cast<std::int64_t>(tokens.size());
  for (std::int64_t i = begin; i < end; ++i) {
    tokens.push_back(pieces[static_cast<std::size_t>(i)].token);
  }
  result.text_end = static_cast<std::int64_t>(tokens.size());
  tokens.push_back(tokenizer_.separator());
  const auto* answer = placed_answer(questions_.back().question);
  if (!answer) return result;
  const CharacterSpan span = span_of(*answer);
  const auto first = std::find_if(pieces.begin(), pieces.end(),
                                  [&](const auto& piece) { return piece.end > span.begin; });
  const auto past =
      std::find_if(first, pieces.end(), [&](const auto& piece) { return piece.begin >= span.end; });
  if (first < pieces.begin() + begin || past > pieces.begin() + end || first == past) return result;
  result.first = result.text_begin + (first - pieces.begin()) - begin;
  result.last = result.text_begin + (past - pieces.begin()) - 1 - begin;
  return result;
}

CharacterSpan QuestionWindows::characters(std::int64_t window, std::int64_t first,
                                          std::int64_t last) const {
  const Place& where = place(window);
  const auto& pieces = questions_[static_cast<std::size_t>(where.question)].text->pieces;
  const auto piece = [&](std::int64_t token) {
    return pieces[static_cast<std::size_t>(token - where.text_begin + where.first_piece)];
  };
  return {piece(first).begin, piece(last).end};
}

std::string QuestionWindows::text(std::int64_t question, CharacterSpan span) const {
  const auto& text = questions_[static_cast<std::size_t>(question)].text->text;
  const auto all = data::utf8_characters(text, "text");
  std::string result;
  for (auto i = span.begin; i < span.end; ++i) result += all[static_cast<std::size_t>(i)];
  return result;
}

}  // namespace halftone::tasks
