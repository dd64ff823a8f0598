// Lines of a text and its label, as SST-2 is distributed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace halftone::data {

struct LabelledLine {
  std::string text;  // UTF-8
  std::int64_t label = 0;
};

// Lines of text, a tab and a label from 0 to classes - 1; lines that are empty are passed over.
// Throws Error with file and line for a column that is missing, another label, a text without a
// word, bytes that are no UTF-8; and for a file without lines.
std::vector<LabelledLine> labelled_lines(const std::filesystem::path& path, std::int64_t classes);

// The words of `text`: what spaces and tabs separate, ASCII letters in lower case.
std::vector<std::string> words_of(const std::string& text);

}  // namespace halftone::data
