#include "halftone/data/sets/labelled_lines.h"

#include <sstream>

#include "halftone/base/error.h"
#include "halftone/base/file.h"
#include "halftone/base/text.h"
#include "halftone/data/utf8.h"

namespace halftone::data {
namespace {

LabelledLine parse_line(const std::string& line, std::int64_t classes, const std::string& where) {
  const std::size_t tab = line.rfind('\t');
  if (tab == std::string::npos) {
    throw Error("one column in " + quote(line), "a text, a tab and a label", where);
  }
  LabelledLine result{line.substr(0, tab), 0};
  const std::string label = line.substr(tab + 1);
  const auto number = parse_int(label);
  if (!number || *number < 0 || *number >= classes) {
    throw Error("label " + quote(label), "0 to " + std::to_string(classes - 1), where);
  }
  result.label = *number;
  utf8_characters(result.text, where);
  if (words_of(result.text).empty()) throw Error("an empty text", "one with words", where);
  return result;
}

}  // namespace

std::vector<LabelledLine> labelled_lines(const std::filesystem::path& path, std::int64_t classes) {
  std::istringstream content(read_file(path));
  std::vector<LabelledLine> lines;
  std::size_t number = 0;
  for (std::string line; std::getline(content, line);) {
    ++number;
    if (line.ends_with('\r')) line.pop_back();
    if (line.empty()) continue;
    lines.push_back(parse_line(line, classes, path.string() + ":" + std::to_string(number)));
  }
  if (lines.empty()) throw Error("no lines", "texts with labels", path.string());
  return lines;
}

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  std::string word;
  const auto end_word = [&] {
    if (!word.empty()) words.push_back(std::move(word));
    word.clear();
  };
  for (const char each : text) {
    if (each == ' ' || each == '\t' || each == '\n' || each == '\r') {
      end_word();
    } else {
      word += each >= 'A' && each <= 'Z' ? static_cast<char>(each - 'A' + 'a') : each;
    }
  }
  end_word();
  return words;
}

}  // namespace halftone::data
