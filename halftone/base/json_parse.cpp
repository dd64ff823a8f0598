#include <charconv>
#include <set>

#include "halftone/base/error.h"
#include "halftone/base/json.h"

namespace halftone {
namespace {

constexpr int kMaxDepth = 128;  // each level is a frame of the parser's own stack

class Parser {
 public:
  Parser(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  Json parse() {
    Json result = value(0);
    skip_space();
    if (at_ != text_.size()) fail("the end");
    return result;
  }

 private:
  [[noreturn]] void fail(const std::string& expected) const {
    std::string given = "the end";
    if (at_ < text_.size()) {
      const auto code = static_cast<unsigned char>(text_[at_]);
      given = code < 0x20 || code > 0x7e ? "byte " + std::to_string(code)
                                         : "'" + std::string(1, text_[at_]) + "'";
    }
    throw Error(given, expected, where_ + ", offset " + std::to_string(at_));
  }

  void skip_space() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != text_.npos) ++at_;
  }

  bool take(char c) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  Json word(std::string_view name, Json result) {
    if (text_.substr(at_, name.size()) != name) fail("a value");
    at_ += name.size();
    return result;
  }

  Json value(int depth) {
    skip_space();
    if (depth > kMaxDepth) fail("nesting of at most " + std::to_string(kMaxDepth) + " levels");
    if (at_ >= text_.size()) fail("a value");
    switch (text_[at_]) {
      case '{':
        return object(depth);
      case '[':
        return array(depth);
      case '"':
        return string();
      case 't':
        return word("true", true);
      case 'f':
        return word("false", false);
      case 'n':
        return word("null", nullptr);
      default:
        return number();
    }
  }

  Json object(int depth) {
    std::set<std::string> keys;
    Json::Object elements;
    ++at_;
    if (take('}')) return elements;
    do {
      skip_space();
      if (at_ >= text_.size() || text_[at_] != '"') fail("a key in quotes");
      const std::size_t start = at_;
      std::string key = string();
      if (!keys.insert(key).second) {
        at_ = start;
        fail("keys that differ (\"" + key + "\" is there twice)");
      }
      if (!take(':')) fail("':'");
      elements.emplace_back(std::move(key), value(depth + 1));
    } while (take(','));
    if (!take('}')) fail("',' or '}'");
    return elements;
  }

  Json array(int depth) {
    Json::Array result;
    ++at_;
    if (take(']')) return result;
    do {
      result.push_back(value(depth + 1));
    } while (take(','));
    if (!take(']')) fail("',' or ']'");
    return result;
  }

  Json number() {
    const std::size_t start = at_;
    const auto digits = [&] {
      const std::size_t first = at_;
      while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
      if (at_ == first) fail(start == at_ ? "a value" : "a digit");
      return first;
    };
    if (at_ < text_.size() && text_[at_] == '-') ++at_;
    const std::size_t whole = digits();
    if (text_[whole] == '0' && at_ > whole + 1) {
      at_ = whole;
      fail("a number without leading zeros");
    }
    bool is_int = true;
    if (at_ < text_.size() && text_[at_] == '.') {
      is_int = false;
      ++at_;
      digits();
    }
    if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
      is_int = false;
      ++at_;
      if (at_ < text_.size() && (text_[at_] == '+' || text_[at_] == '-')) ++at_;
      digits();
    }
    const char* first = text_.data() + start;
    const char* last = text_.data() + at_;
    std::int64_t integer = 0;
    if (is_int && std::from_chars(first, last, integer).ec == std::errc()) return integer;
    double real = 0;
    if (std::from_chars(first, last, real).ec != std::errc()) {
      at_ = start;
      fail("a number that fp64 holds");
    }
    return real;
  }

  unsigned hex4() {
    unsigned code = 0;
    const char* first = text_.data() + at_;
    if (at_ + 4 > text_.size() || std::from_chars(first, first + 4, code, 16).ptr != first + 4)
      fail("four hexadecimal digits");
    at_ += 4;
    return code;
  }

  void unicode(std::string& out) {
    unsigned code = hex4();
    if (code >= 0xd800 && code < 0xdc00 && text_.substr(at_, 2) == "\\u") {
      at_ += 2;
      const unsigned low = hex4();
      if (low < 0xdc00 || low > 0xdfff) fail("the second half of a surrogate pair before this");
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xd800 && code < 0xe000) {
      fail("a surrogate pair");
    }
    const auto put = [&](unsigned byte) { out += static_cast<char>(byte); };
    if (code < 0x80) {
      put(code);
    } else if (code < 0x800) {
      put(0xc0 | code >> 6), put(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
      put(0xe0 | code >> 12), put(0x80 | (code >> 6 & 0x3f)), put(0x80 | (code & 0x3f));
    } else {
      put(0xf0 | code >> 18), put(0x80 | (code >> 12 & 0x3f));
      put(0x80 | (code >> 6 & 0x3f)), put(0x80 | (code & 0x3f));
    }
  }

  std::string string() {
    static constexpr std::string_view kEscapes = "\"\\/bfnrt";
    static constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    std::string out;
    ++at_;
    while (true) {
      if (at_ >= text_.size()) fail("'\"'");
      const char c = text_[at_];
      if (static_cast<unsigned char>(c) < 0x20) fail("an escape for a control character");
      ++at_;
      if (c == '"') return out;
      if (c != '\\') {
        out += c;
        continue;
      }
      const char escape = at_ < text_.size() ? text_[at_] : '\0';
      const std::size_t known = kEscapes.find(escape);
      if (escape == 'u') {
        ++at_;
        unicode(out);
      } else if (known != kEscapes.npos && escape) {
        ++at_;
        out += kMeanings[known];
      } else {
        fail("an escape");
      }
    }
  }

  std::string_view text_;
  const std::string& where_;
  std::size_t at_ = 0;
};

}  // namespace

Json Json::parse(std::string_view text, const std::string& where) {
  return Parser(text, where).parse();
}

}  // namespace halftone
