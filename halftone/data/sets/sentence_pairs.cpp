#include "halftone/data/sets/sentence_pairs.h"

#include <cstdint>
#include <sstream>

#include "halftone/base/error.h"
#include "halftone/base/file.h"
#include "halftone/base/log.h"
#include "halftone/data/codec/gunzip.h"
#include "halftone/data/utf8.h"

namespace halftone::data {
namespace {

std::string without_space_around(const std::string& line) {
  constexpr const char* kSpace = " \t\r";
  const auto begin = line.find_first_not_of(kSpace);
  if (begin == std::string::npos) return "";
  return line.substr(begin, line.find_last_not_of(kSpace) + 1 - begin);
}

std::vector<std::string> sentence_lines(const std::filesystem::path& path) {
  std::string content = read_file(path);
  if (is_gzip(as_bytes(content))) content = gunzip(as_bytes(content), path.string());
  std::istringstream stream(content);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) {
    utf8_characters(line, path.string() + ":" + std::to_string(lines.size() + 1));
    lines.push_back(without_space_around(line));
  }
  return lines;
}

}  // namespace

std::vector<SentencePair> sentence_pairs(const std::filesystem::path& source,
                                         const std::filesystem::path& target) {
  auto sources = sentence_lines(source), targets = sentence_lines(target);
  if (sources.size() != targets.size()) {
    throw Error(std::to_string(targets.size()) + " lines",
                std::to_string(sources.size()) + ", as " + source.string() + " has",
                target.string());
  }
  std::vector<SentencePair> pairs;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    if (sources[i].empty() || targets[i].empty()) continue;
    pairs.push_back({std::move(sources[i]), std::move(targets[i])});
  }
  if (pairs.empty()) throw Error("no sentences", "some", source.string());
  if (pairs.size() < sources.size()) {
    warn(source.string() + ": sentences left out: " +
         std::to_string(sources.size() - pairs.size()) + ", empty there or in " + target.string());
  }
  return pairs;
}

}  // namespace halftone::data
