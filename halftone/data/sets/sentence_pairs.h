// Sentences and their translations: two files, line by line, as Multi30k and WMT are distributed.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace halftone::data {

struct SentencePair {
  std::string source, target;  // UTF-8, without white space around them
};

// Line i of both files, plain or gzip. A pair with an empty side is left out, with a warning that
// counts them. Throws Error with the file (and the line) for one that is missing or corrupt, bytes
// that are no UTF-8, files of different numbers of lines, and where no pair is left.
std::vector<SentencePair> sentence_pairs(const std::filesystem::path& source,
                                         const std::filesystem::path& target);

}  // namespace halftone::data
