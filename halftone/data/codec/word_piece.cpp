#include "halftone/data/codec/word_piece.h"

#include <algorithm>
#include <utility>

#include "halftone/base/error.h"
#include "halftone/base/text.h"
#include "halftone/data/codec/unicode.h"
#include "halftone/data/utf8.h"

namespace halftone::data {
namespace {

constexpr std::ptrdiff_t kLongestWord = 100;  // characters; max_input_chars_per_word
constexpr const char* kContinuation = "##";

std::int64_t required(const Vocabulary& vocabulary, const char* token, const std::string& where) {
  const auto number = vocabulary.number(token);
  if (!number) throw Error(std::string("no ") + token, "a vocabulary of BERT's", where);
  return *number;
}

bool is_left_out(char32_t code) {
  if (code == '\t' || code == '\n' || code == '\r') return false;
  return code == 0 || code == 0xFFFD || is_control(code);
}

// The blocks of ideographs, which are words of one character each. U+2B820 to U+2B91F are not
// among them in BertTokenizerFast, whose tokens these are.
bool is_ideograph(char32_t c) {
  constexpr std::pair<char32_t, char32_t> kBlocks[] = {
      {0x4E00, 0x9FFF},   {0x3400, 0x4DBF},   {0x20000, 0x2A6DF}, {0x2A700, 0x2B73F},
      {0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF}, {0xF900, 0xFAFF},   {0x2F800, 0x2FA1F}};
  return std::any_of(std::begin(kBlocks), std::end(kBlocks),
                     [c](const auto& block) { return c >= block.first && c <= block.second; });
}

bool is_separate(char32_t code) {
  const bool ascii = (code >= 33 && code <= 47) || (code >= 58 && code <= 64) ||
                     (code >= 91 && code <= 96) || (code >= 123 && code <= 126);
  return ascii || is_punctuation(code);
}

// Marks behind a starter in the order of their classes (UAX #15, canonical ordering). The places in
// the text stay where they are, as in BertTokenizerFast.
template <class Characters>
void order_marks(Characters& characters) {
  const auto place = [&](std::size_t i) { return combining_class(characters[i].code); };
  for (std::size_t begin = 0; begin < characters.size(); ++begin) {
    if (place(begin) == 0) continue;
    std::u32string marks;
    std::size_t end = begin;
    for (; end < characters.size() && place(end) != 0; ++end) marks += characters[end].code;
    std::stable_sort(marks.begin(), marks.end(), [](char32_t a, char32_t b) {
      return combining_class(a) < combining_class(b);
    });
    for (std::size_t i = begin; i < end; ++i) characters[i].code = marks[i - begin];
    begin = end - 1;
  }
}

}  // namespace

WordPieceTokenizer::WordPieceTokenizer(Vocabulary vocabulary, bool lower_case,
                                       const std::string& where)
    : vocabulary_(std::move(vocabulary)),
      lower_case_(lower_case),
      padding_(required(vocabulary_, "[PAD]", where)),
      unknown_(required(vocabulary_, "[UNK]", where)),
      start_(required(vocabulary_, "[CLS]", where)),
      separator_(required(vocabulary_, "[SEP]", where)) {}

WordPieceTokenizer::Characters WordPieceTokenizer::normalized(std::string_view text,
                                                              const std::string& where) const {
  Characters characters;
  std::int64_t at = 0;
  for (const std::string_view bytes : utf8_characters(text, where)) {
    const char32_t code = code_point(bytes);
    const std::int64_t begin = at++;
    if (is_left_out(code)) continue;
    const auto add = [&](char32_t each) { characters.push_back({each, begin, at}); };
    if (is_white_space(code)) {
      add(' ');
      continue;
    }
    const bool ideograph = is_ideograph(code);
    if (ideograph) add(' ');
    if (!lower_case_) {
      add(code);
    } else {
      for (const char32_t part : decomposed(code)) add(part);
    }
    if (ideograph) add(' ');
  }
  if (!lower_case_) return characters;
  order_marks(characters);
  std::erase_if(characters, [](const Character& each) { return is_mark_nonspacing(each.code); });
  for (Character& each : characters) each.code = data::lower_case(each.code);
  return characters;
}

// Greedily: the longest piece that the vocabulary has, then the longest of the rest.
void WordPieceTokenizer::add_word(const Character* first, const Character* last,
                                  std::vector<WordPiece>& out) const {
  const WordPiece unknown{unknown_, first->begin, (last - 1)->end};
  if (last - first > kLongestWord) return out.push_back(unknown);
  const std::size_t before = out.size();
  for (const Character* begin = first; begin != last;) {
    std::string piece = begin == first ? "" : kContinuation;
    std::vector<std::size_t> lengths;  // of `piece`, in bytes, after each character
    for (const Character* each = begin; each != last; ++each) {
      append_utf8(piece, each->code);
      lengths.push_back(piece.size());
    }
    std::optional<std::int64_t> token;
    while (!lengths.empty()) {
      token = vocabulary_.number(std::string_view(piece).substr(0, lengths.back()));
      if (token) break;
      lengths.pop_back();
    }
    if (!token) {
      out.resize(before);
      return out.push_back(unknown);
    }
    const Character* end = begin + lengths.size();
    out.push_back({*token, begin->begin, (end - 1)->end});
    begin = end;
  }
}

std::vector<WordPiece> WordPieceTokenizer::pieces(std::string_view text,
                                                  const std::string& where) const {
  const Characters characters = normalized(text, where);
  std::vector<WordPiece> result;
  const Character* const end = characters.data() + characters.size();
  for (const Character* each = characters.data(); each != end;) {
    const Character* const first = each;
    if (is_white_space(each->code)) {
      ++each;
      continue;
    }
    if (is_separate(each->code)) {
      ++each;
    } else {
      while (each != end && !is_white_space(each->code) && !is_separate(each->code)) ++each;
    }
    add_word(first, each, result);
  }
  return result;
}

}  // namespace halftone::data
