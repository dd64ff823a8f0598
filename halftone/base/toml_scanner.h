// The characters of a TOML document: spaces, comments, strings, keys, plain values. Used by the
// reader, which knows tables.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace halftone::toml {

constexpr std::size_t kMostKeyParts = 16;

using Scalar = std::variant<std::string, std::int64_t, double, bool>;

class Scanner {
 public:
  // Checks that the whole text is UTF-8.
  Scanner(std::string_view text, const std::string& file);

  int line() const { return line_; }
  bool at_end() const { return at_ == text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[at_]; }
  bool take(char c);
  bool take(std::string_view word);

  void skip_spaces();  // spaces and tabs
  // Spaces, then a comment, a line's end or the end of the document.
  void end_of_line();
  // Spaces, comments and line ends, as between an array's values.
  void skip_lines();

  std::vector<std::string> key();  // with its dots; at least one part
  Scalar scalar();                 // anything but an array or an inline table

  // Throws UsageError "<file>:<line>: …" for what stands here, or for `given`.
  [[noreturn]] void expected(const std::string& what) const;
  [[noreturn]] void fail(const std::string& given, const std::string& expected) const;
  // The same for what TOML allows but this reader does not take.
  [[noreturn]] void unsupported(const std::string& what) const;

 private:
  void check_utf8() const;
  bool line_end();
  void skip_comment();
  std::string basic_string();
  std::string literal_string();
  void escape(std::string& out);
  std::uint32_t code_point(int digits);
  std::string key_part();
  Scalar plain();

  std::string_view text_;
  const std::string& file_;
  std::size_t at_ = 0;
  int line_ = 1;
};

}  // namespace halftone::toml
