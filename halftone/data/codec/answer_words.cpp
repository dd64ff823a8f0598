#include "halftone/data/codec/answer_words.h"

#include <algorithm>

#include "halftone/data/codec/unicode.h"
#include "halftone/data/utf8.h"

namespace halftone::data {
namespace {

constexpr char32_t kCapitalDottedI = 0x130;  // in lower case i and a dot above, two characters
constexpr char32_t kFirstSeparator = 0x1C, kLastSeparator = 0x1F;  // Python's white space, too

std::u32string lowered(std::string_view text) {
  std::u32string result;
  for (const std::string_view bytes : utf8_characters(text, "answer")) {
    const char32_t code = code_point(bytes);
    if (code == kCapitalDottedI) {
      result += U"i\u0307";
    } else {
      result += lower_case(code);
    }
  }
  return result;
}

bool is_ascii_punctuation(char32_t c) {
  return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) ||
         (c >= 123 && c <= 126);
}

bool is_space(char32_t c) {
  return is_white_space(c) || (c >= kFirstSeparator && c <= kLastSeparator);
}

bool is_article(const std::u32string& word) {
  return word == U"a" || word == U"an" || word == U"the";
}

}  // namespace

std::vector<std::string> answer_words(std::string_view text) {
  std::u32string all = lowered(text);
  std::erase_if(all, is_ascii_punctuation);
  // An article ends where letters and numbers do (the script's \b): that of "the–end" is one.
  std::u32string kept;
  for (std::size_t begin = 0; begin < all.size();) {
    std::size_t end = begin;
    while (end < all.size() && is_letter_or_number(all[end])) ++end;
    const std::u32string word = all.substr(begin, end - begin);
    kept += is_article(word) ? U" " : word;
    if (end < all.size()) kept += all[end++];
    begin = end;
  }
  std::vector<std::string> words;
  bool inside = false;
  for (const char32_t code : kept) {
    const bool letter = !is_space(code);
    if (letter && !inside) words.emplace_back();
    if (letter) append_utf8(words.back(), code);
    inside = letter;
  }
  return words;
}

}  // namespace halftone::data
