// Tokens and their numbers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "halftone/base/export.h"

namespace halftone::data {

// Thread-safe once it is made.
class HALFTONE_API Vocabulary {
 public:
  // Token i has number i. where: the file, for messages. Throws Error for a token that is there
  // twice.
  explicit Vocabulary(std::vector<std::string> tokens, const std::string& where = "vocabulary");

  std::int64_t size() const { return static_cast<std::int64_t>(tokens_.size()); }
  // Nothing where it is unknown.
  std::optional<std::int64_t> number(std::string_view token) const;
  // number: 0 to size() - 1.
  const std::string& token(std::int64_t number) const {
    return tokens_[static_cast<std::size_t>(number)];
  }

  // A JSON array of strings. from_json() throws Error for anything else.
  std::string to_json() const;
  static Vocabulary from_json(const std::string& text, const std::string& where);
  // A token a line, as BERT's vocab.txt.
  static Vocabulary from_lines(std::string_view text, const std::string& where);

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };
  std::vector<std::string> tokens_;
  std::unordered_map<std::string, std::int64_t, Hash, std::equal_to<>> numbers_;
};

}  // namespace halftone::data
