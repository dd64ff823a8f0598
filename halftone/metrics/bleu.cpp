#include "halftone/metrics/bleu.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <span>
#include <utility>

namespace halftone::metrics {
namespace {

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

// The length of the white space at the start of `text`, 0 where there is none.
std::size_t space_length(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  if ((byte(0) >= 0x09 && byte(0) <= 0x0D) || (byte(0) >= 0x1C && byte(0) <= 0x20)) return 1;
  if (byte(0) == 0xC2) return byte(1) == 0x85 || byte(1) == 0xA0 ? 2 : 0;  // U+0085, U+00A0
  const unsigned code = byte(0) << 16 | byte(1) << 8 | byte(2);
  const bool space = code == 0xE19A80 || (code >= 0xE28080 && code <= 0xE2808A) ||  // U+1680, 2000–
                     code == 0xE280A8 || code == 0xE280A9 || code == 0xE280AF ||    // U+2028, 9, F
                     code == 0xE2819F || code == 0xE38080;                          // U+205F, 3000
  return space ? 3 : 0;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_point(char c) { return c == '.' || c == ','; }

// The marks that are tokens wherever they are: ASCII's without ' , - . and letters and digits.
bool is_mark(char c) {
  return (c >= '{' && c <= '~') || (c >= '[' && c <= '`') || (c >= ' ' && c <= '&') ||
         (c >= '(' && c <= '+') || (c >= ':' && c <= '@') || c == '/';
}

// The four substitutions of the script, one after the other, each from left to right without going
// back: what one match takes, the next can't.
std::string with_marks_apart(const std::string& text) {
  std::string out;
  for (const char c : text) is_mark(c) ? (out += ' ', out += c, out += ' ') : out += c;
  return out;
}

// ([^0-9])([.,]) -> \1 \2_
std::string with_points_after_others_apart(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    out += text[i];
    if (is_digit(text[i]) || i + 1 == text.size() || !is_point(text[i + 1])) continue;
    out += ' ';
    out += text[++i];
    out += ' ';
  }
  return out;
}

// ([.,])([^0-9]) -> _\1 \2
std::string with_points_before_others_apart(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!is_point(text[i]) || i + 1 == text.size() || is_digit(text[i + 1])) {
      out += text[i];
      continue;
    }
    out += ' ';
    out += text[i];
    out += ' ';
    out += text[++i];
  }
  return out;
}

// ([0-9])(-) -> \1 \2_
std::string with_dashes_after_digits_apart(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool apart = text[i] == '-' && i > 0 && is_digit(text[i - 1]);
    apart ? out += " - " : out += text[i];
  }
  return out;
}

std::vector<std::string> words_between_spaces(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  while (!text.empty()) {
    const std::size_t space = space_length(text);
    if (space == 0) {
      word += text.front();
    } else if (!word.empty()) {
      words.push_back(std::exchange(word, {}));
    }
    text.remove_prefix(std::max<std::size_t>(space, 1));
  }
  if (!word.empty()) words.push_back(std::move(word));
  return words;
}

std::string_view without_space_behind(std::string_view text) {
  std::size_t end = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t space = space_length(text.substr(at));
    at += std::max<std::size_t>(space, 1);
    if (space == 0) end = at;
  }
  return text.substr(0, end);
}

using NGrams = std::map<std::vector<std::string_view>, std::int64_t>;

NGrams n_grams(const std::vector<std::string>& words, std::size_t order) {
  NGrams counts;
  for (std::size_t i = 0; i + order <= words.size(); ++i) {
    const auto first = words.begin() + static_cast<std::ptrdiff_t>(i);
    ++counts[{first, first + static_cast<std::ptrdiff_t>(order)}];
  }
  return counts;
}

}  // namespace

std::vector<std::string> tokens_13a(std::string_view text) {
  std::string line(without_space_behind(text));
  replace_all(line, "<skipped>", "");
  replace_all(line, "-\n", "");
  replace_all(line, "\n", " ");
  replace_all(line, "&quot;", "\"");
  replace_all(line, "&amp;", "&");
  replace_all(line, "&lt;", "<");
  replace_all(line, "&gt;", ">");
  line = with_marks_apart(" " + line + " ");
  line = with_points_after_others_apart(line);
  line = with_points_before_others_apart(line);
  return words_between_spaces(with_dashes_after_digits_apart(line));
}

void Bleu::add(std::string_view hypothesis, std::string_view reference) {
  const auto given = tokens_13a(hypothesis), right = tokens_13a(reference);
  hypothesis_length_ += static_cast<std::int64_t>(given.size());
  reference_length_ += static_cast<std::int64_t>(right.size());
  for (std::size_t order = 1; order <= kOrders; ++order) {
    const NGrams expected = n_grams(right, order);
    for (const auto& [words, count] : n_grams(given, order)) {
      total_[order - 1] += count;
      const auto found = expected.find(words);
      if (found != expected.end()) correct_[order - 1] += std::min(count, found->second);
    }
  }
}

double Bleu::brevity_penalty() const {
  if (hypothesis_length_ >= reference_length_) return 1;
  if (hypothesis_length_ == 0) return 0;
  return std::exp(1 -
                  static_cast<double>(reference_length_) / static_cast<double>(hypothesis_length_));
}

// Chen and Cherry 2014, smoothing 3: the n-th precision of zero counts as 1 / 2^n matches. An order
// of which the corpus is too short to have any makes the score zero.
double Bleu::score() const {
  double sum_of_logs = 0, smoothed = 1;
  if (correct_ == decltype(correct_){}) return 0;
  for (std::size_t i = 0; i < kOrders; ++i) {
    if (total_[i] == 0) return 0;
    const auto total = static_cast<double>(total_[i]);
    if (correct_[i] == 0) smoothed *= 2;
    const double matches = correct_[i] == 0 ? 1 / smoothed : static_cast<double>(correct_[i]);
    sum_of_logs += std::log(100 * matches / total);
  }
  return brevity_penalty() * std::exp(sum_of_logs / kOrders);
}

}  // namespace halftone::metrics
