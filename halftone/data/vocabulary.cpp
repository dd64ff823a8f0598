#include "halftone/data/vocabulary.h"

#include <algorithm>
#include <utility>

#include "halftone/base/error.h"
#include "halftone/base/json.h"
#include "halftone/base/text.h"

namespace halftone::data {

Vocabulary::Vocabulary(std::vector<std::string> tokens, const std::string& where)
    : tokens_(std::move(tokens)) {
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    const auto [found, added] = numbers_.emplace(tokens_[i], static_cast<std::int64_t>(i));
    if (!added) throw Error(quote(tokens_[i]) + " twice", "each token once", where);
  }
}

std::optional<std::int64_t> Vocabulary::number(std::string_view token) const {
  const auto found = numbers_.find(token);
  if (found == numbers_.end()) return std::nullopt;
  return found->second;
}

std::string Vocabulary::to_json() const {
  Json list = Json::array();
  for (const std::string& token : tokens_) list.push_back(token);
  return list.dump() + "\n";
}

Vocabulary Vocabulary::from_json(const std::string& text, const std::string& where) {
  std::vector<std::string> tokens;
  const Json list = Json::parse(text, where);
  for (const Json& token : list.as_array()) tokens.push_back(token.as_string());
  return Vocabulary(std::move(tokens), where);
}

Vocabulary Vocabulary::from_lines(std::string_view text, const std::string& where) {
  std::vector<std::string> tokens;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line = text.substr(begin, end - begin);
    if (line.ends_with('\r')) line.remove_suffix(1);
    tokens.emplace_back(line);
    begin = end + 1;
  }
  return Vocabulary(std::move(tokens), where);
}

}  // namespace halftone::data
