#include "halftone/base/toml_scanner.h"

#include <cstdint>

#include "halftone/base/error.h"
#include "halftone/base/text.h"
#include "halftone/base/toml_number.h"

namespace halftone::toml {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_bare(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_' || c == '-';
}

// Those that may stand nowhere but as line ends.
bool is_control(char c) {
  const auto code = static_cast<unsigned char>(c);
  return (code < 0x20 && c != '\t') || code == 0x7f;
}

void append_utf8(std::uint32_t code, std::string& out) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80u | ((code >> shift) & 0x3fu)); };
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0u | (code >> 6));
    tail(0);
  } else if (code < 0x10000) {
    out += static_cast<char>(0xe0u | (code >> 12));
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xf0u | (code >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

bool is_scalar_value(std::uint32_t code) {
  return code < 0xd800 || (code > 0xdfff && code <= 0x10ffff);
}

// Bytes of the well-formed sequence at the start of `text` (Unicode 3.9, table 3-7), 0 if none.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  const std::size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0u) != 0x80) return 0;
  }
  const unsigned second = byte(1);
  const bool overlong = (lead == 0xe0 && second < 0xa0) || (lead == 0xf0 && second < 0x90);
  const bool surrogate = lead == 0xed && second > 0x9f;
  const bool beyond = lead == 0xf4 && second > 0x8f;
  return overlong || surrogate || beyond ? 0 : length;
}

}  // namespace

Scanner::Scanner(std::string_view text, const std::string& file) : text_(text), file_(file) {
  check_utf8();
  take("\xef\xbb\xbf");  // byte order mark
}

void Scanner::check_utf8() const {
  int line = 1;
  for (std::size_t i = 0; i < text_.size();) {
    const std::size_t length = utf8_length(text_.substr(i));
    if (length == 0) {
      throw UsageError("bytes that are not UTF-8", "UTF-8", file_ + ":" + std::to_string(line));
    }
    line += text_[i] == '\n';
    i += length;
  }
}

void Scanner::fail(const std::string& given, const std::string& expected) const {
  throw UsageError(given, expected, file_ + ":" + std::to_string(line_));
}

void Scanner::expected(const std::string& what) const {
  const char c = peek();
  if (at_end()) fail("the end of the document", what);
  if (c == '\n' || c == '\r') fail("the end of the line", what);
  fail(quote(text_.substr(at_, utf8_length(text_.substr(at_)))), what);
}

void Scanner::unsupported(const std::string& what) const {
  fail(what + " (not in the subset of TOML that Halftone reads)", "a simpler spelling");
}

bool Scanner::take(char c) {
  if (at_end() || text_[at_] != c) return false;
  ++at_;
  return true;
}

bool Scanner::take(std::string_view word) {
  if (text_.substr(at_, word.size()) != word) return false;
  at_ += word.size();
  return true;
}

void Scanner::skip_spaces() {
  while (peek() == ' ' || peek() == '\t') ++at_;
}

bool Scanner::line_end() {
  if (!take('\n') && !take("\r\n")) return false;
  ++line_;
  return true;
}

void Scanner::skip_comment() {
  if (!take('#')) return;
  while (!at_end() && peek() != '\n' && text_.substr(at_, 2) != "\r\n") {
    if (is_control(peek())) expected("a comment without control characters");
    ++at_;
  }
}

void Scanner::end_of_line() {
  skip_spaces();
  skip_comment();
  if (!at_end() && !line_end()) expected("the end of the line");
}

void Scanner::skip_lines() {
  do {
    skip_spaces();
    skip_comment();
  } while (line_end());
}

std::uint32_t Scanner::code_point(int digits) {
  std::uint32_t code = 0;
  for (int i = 0; i < digits; ++i) {
    const char c = peek();
    const bool letter = (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    if (!is_digit(c) && !letter) expected(std::to_string(digits) + " hexadecimal digits");
    code = code * 16 + static_cast<std::uint32_t>(is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
    ++at_;
  }
  if (!is_scalar_value(code)) fail("an escape that is no Unicode character", "a character");
  return code;
}

void Scanner::escape(std::string& out) {
  constexpr std::string_view kLetters = "btnfr\"\\";
  constexpr std::string_view kMeanings = "\b\t\n\f\r\"\\";
  const auto letter = at_end() ? std::string_view::npos : kLetters.find(peek());
  if (letter != std::string_view::npos) {
    ++at_;
    out += kMeanings[letter];
  } else if (take('u')) {
    append_utf8(code_point(4), out);
  } else if (take('U')) {
    append_utf8(code_point(8), out);
  } else {
    expected("an escape: \\b \\t \\n \\f \\r \\\" \\\\ \\uXXXX \\UXXXXXXXX");
  }
}

std::string Scanner::basic_string() {
  if (take("\"\"\"")) unsupported("a multi-line string");
  std::string out;
  ++at_;
  while (!take('"')) {
    if (at_end() || is_control(peek())) expected("a closing \"");
    if (take('\\')) {
      escape(out);
    } else {
      out += text_[at_++];
    }
  }
  return out;
}

std::string Scanner::literal_string() {
  if (take("'''")) unsupported("a multi-line string");
  const std::size_t begin = ++at_;
  while (!at_end() && peek() != '\'' && !is_control(peek())) ++at_;
  if (peek() != '\'') expected("a closing '");
  return std::string(text_.substr(begin, at_++ - begin));
}

std::string Scanner::key_part() {
  if (peek() == '"') return basic_string();
  if (peek() == '\'') return literal_string();
  const std::size_t begin = at_;
  while (is_bare(peek())) ++at_;
  if (at_ == begin) expected("a key");
  return std::string(text_.substr(begin, at_ - begin));
}

std::vector<std::string> Scanner::key() {
  std::vector<std::string> parts;
  do {
    if (parts.size() == kMostKeyParts)
      unsupported("a key of more parts than " + std::to_string(kMostKeyParts));
    skip_spaces();
    parts.push_back(key_part());
    skip_spaces();
  } while (take('.'));
  return parts;
}

Scalar Scanner::plain() {
  const std::size_t begin = at_;
  while (is_bare(peek()) || peek() == '+' || peek() == '.' || peek() == ':') ++at_;
  const std::string_view word = text_.substr(begin, at_ - begin);
  if (word.empty()) expected("a value");
  if (word == "true" || word == "false") return word == "true";
  if (looks_like_date(word)) unsupported("a date or time");
  if (looks_like_other_base(word)) unsupported("a hexadecimal, octal or binary integer");
  if (const auto integer = integer_digits(word)) {
    if (const auto value = parse_int(*integer)) return *value;
    fail(std::string(word), "an integer of 64 bits");
  }
  if (const auto number = number_digits(word)) {
    if (const auto value = parse_double(*number)) return *value;
    fail(std::string(word), "a number that a double holds");
  }
  fail(quote(word), "a value: a string in quotes, a number, true, false, an array or a table");
}

Scalar Scanner::scalar() {
  if (peek() == '"') return basic_string();
  if (peek() == '\'') return literal_string();
  return plain();
}

}  // namespace halftone::toml
