#include "halftone/base/toml_number.h"

#include <algorithm>

namespace halftone::toml {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Takes the sign off the front of `word`.
std::string take_sign(std::string_view& word) {
  if (word.empty() || (word[0] != '+' && word[0] != '-')) return "";
  const bool minus = word[0] == '-';
  word.remove_prefix(1);
  return minus ? "-" : "";
}

// Takes digits with single underscores between them; "" where there are none.
std::string take_digits(std::string_view& word) {
  std::string digits;
  std::size_t i = 0;
  while (i < word.size()) {
    const bool between = word[i] == '_' && i > 0 && is_digit(word[i - 1]) && i + 1 < word.size() &&
                         is_digit(word[i + 1]);
    if (!is_digit(word[i]) && !between) break;
    if (is_digit(word[i])) digits += word[i];
    ++i;
  }
  word.remove_prefix(i);
  return digits;
}

std::string take_whole(std::string_view& word) {
  std::string_view rest = word;
  const std::string digits = take_digits(rest);
  if (digits.empty() || (digits.size() > 1 && digits[0] == '0')) return "";
  word = rest;
  return digits;
}

}  // namespace

std::optional<std::string> integer_digits(std::string_view word) {
  const std::string sign = take_sign(word);
  const std::string digits = take_whole(word);
  if (digits.empty() || !word.empty()) return std::nullopt;
  return sign + digits;
}

std::optional<std::string> number_digits(std::string_view word) {
  const std::string sign = take_sign(word);
  if (word == "inf" || word == "nan") return sign + std::string(word);
  const std::string whole = take_whole(word);
  if (whole.empty() || word.empty()) return std::nullopt;
  std::string out = sign + whole;
  if (word[0] == '.') {
    word.remove_prefix(1);
    const std::string fraction = take_digits(word);
    if (fraction.empty()) return std::nullopt;
    out += "." + fraction;
  }
  if (!word.empty() && (word[0] == 'e' || word[0] == 'E')) {
    word.remove_prefix(1);
    out += "e" + take_sign(word);
    const std::string exponent = take_digits(word);
    if (exponent.empty()) return std::nullopt;
    out += exponent;
  }
  if (!word.empty()) return std::nullopt;
  return out;
}

bool looks_like_date(std::string_view word) {
  const auto digits = [&](std::size_t count) {
    return word.size() > count && std::all_of(word.begin(), word.begin() + count, is_digit);
  };
  return (digits(4) && word[4] == '-') || (digits(2) && word[2] == ':');
}

bool looks_like_other_base(std::string_view word) {
  take_sign(word);
  return word.size() > 1 && word[0] == '0' && (word[1] == 'x' || word[1] == 'o' || word[1] == 'b');
}

}  // namespace halftone::toml
