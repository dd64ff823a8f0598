#include "halftone/base/text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

namespace halftone {
namespace {

constexpr int kLetter = 2;  // cost of a wrong letter
constexpr int kCase = 1;    // cost of a letter in the wrong case
constexpr int kSwap = 1;    // cost of two letters in the wrong order
constexpr std::size_t kLongestName = 200;
constexpr std::size_t kLongestQuote = 80;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

int replacement(char a, char b) {
  if (a == b) return 0;
  return lower(a) == lower(b) ? kCase : kLetter;
}

// Optimal string alignment distance (Damerau 1964 without repeated edits), three rows.
int distance(std::string_view a, std::string_view b) {
  std::vector<int> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = kLetter * static_cast<int>(j);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = kLetter * static_cast<int>(i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min(
          {last[j] + kLetter, row[j - 1] + kLetter, last[j - 1] + replacement(a[i - 1], b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + kSwap);
      }
    }
    before.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

std::string_view without_plus(std::string_view text) {
  const bool plus = text.size() > 1 && text[0] == '+' && text[1] != '-' && text[1] != '+';
  return plus ? text.substr(1) : text;
}

template <class Number>
std::optional<Number> parse_whole(std::string_view text) {
  text = without_plus(text);
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

bool glob_match(std::string_view pattern, std::string_view text) {
  std::size_t p = 0, t = 0;
  std::size_t star = std::string_view::npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {  // the last star takes one character more
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool glob_match_any(std::string_view patterns, std::string_view text) {
  while (true) {
    const auto space = patterns.find(' ');
    if (glob_match(patterns.substr(0, space), text)) return true;
    if (space == std::string_view::npos) return false;
    patterns.remove_prefix(space + 1);
  }
}

std::string nearest_name(std::string_view given, const std::vector<std::string>& candidates) {
  if (given.size() > kLongestName) return "";
  std::string nearest;
  int best = std::max(2, static_cast<int>(given.size()) / 3) * kLetter + 1;
  for (const std::string& candidate : candidates) {
    const int edits = distance(given, candidate);
    const bool shares =
        edits < kLetter * static_cast<int>(std::max(given.size(), candidate.size()));
    if (edits < best && shares) {
      best = edits;
      nearest = candidate;
    }
  }
  return nearest;
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string text;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i) text += separator;
    text += parts[i];
  }
  return text;
}

std::string join_few(const std::vector<std::string>& parts, std::size_t most) {
  if (parts.size() <= most) return join(parts);
  const std::vector<std::string> first(parts.begin(), parts.begin() + static_cast<long>(most));
  return join(first) + ", … (" + std::to_string(parts.size()) + ")";
}

std::string choices(std::string_view given, const std::vector<std::string>& candidates) {
  std::string text;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    if (i) text += i + 1 == candidates.size() ? " or " : ", ";
    text += candidates[i];
  }
  const std::string nearest = nearest_name(given, candidates);
  if (!nearest.empty()) text += " (did you mean \"" + nearest + "\"?)";
  return text;
}

std::string escape(std::string_view text, std::string_view control) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (code < 0x20 || code == 0x7f) {
      out += control;
      out += kDigits[code >> 4];
      out += kDigits[code & 15];
    } else {
      out += c;
    }
  }
  return out;
}

std::string quote(std::string_view text) {
  const char* end = text.size() > kLongestQuote ? "…\"" : "\"";
  return '"' + escape(text.substr(0, kLongestQuote), "\\x") + end;
}

std::string format_number(double value) {
  if (std::isnan(value)) return "nan";
  char text[32];
  const auto result = std::to_chars(text, text + sizeof text, value);
  return std::string(text, result.ptr);
}

std::optional<double> parse_double(std::string_view text) {
  const std::string_view plain = without_plus(text);
  const std::string_view magnitude = !plain.empty() && plain[0] == '-' ? plain.substr(1) : plain;
  if (magnitude == "inf") {
    const double inf = std::numeric_limits<double>::infinity();
    return plain[0] == '-' ? -inf : inf;
  }
  if (magnitude == "nan") return std::numeric_limits<double>::quiet_NaN();
  // from_chars takes further spellings of infinity and NaN.
  if (magnitude.empty() || (magnitude[0] != '.' && (magnitude[0] < '0' || magnitude[0] > '9'))) {
    return std::nullopt;
  }
  return parse_whole<double>(text);
}

std::optional<std::int64_t> parse_int(std::string_view text) {
  return parse_whole<std::int64_t>(text);
}

}  // namespace halftone
