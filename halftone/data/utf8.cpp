#include "halftone/data/utf8.h"

#include <cstdint>
#include <cstdio>

#include "halftone/base/error.h"

namespace halftone::data {
namespace {

struct Sequence {
  std::size_t length;        // 0: no first byte
  std::uint8_t least, most;  // of the second byte
};

// The rows of table 3-7 by their first byte.
Sequence sequence_of(std::uint8_t first) {
  if (first < 0x80) return {1, 0, 0};
  if (first < 0xC2) return {0, 0, 0};
  if (first < 0xE0) return {2, 0x80, 0xBF};
  if (first == 0xE0) return {3, 0xA0, 0xBF};
  if (first == 0xED) return {3, 0x80, 0x9F};
  if (first < 0xF0) return {3, 0x80, 0xBF};
  if (first == 0xF0) return {4, 0x90, 0xBF};
  if (first < 0xF4) return {4, 0x80, 0xBF};
  if (first == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

// The length of the character at the start of `text`, which is not empty; 0 where it is malformed.
std::size_t character_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const Sequence sequence = sequence_of(byte(0));
  if (sequence.length < 2) return sequence.length;
  if (text.size() < sequence.length) return 0;
  if (byte(1) < sequence.least || byte(1) > sequence.most) return 0;
  for (std::size_t i = 2; i < sequence.length; ++i) {
    if (byte(i) < 0x80 || byte(i) > 0xBF) return 0;
  }
  return sequence.length;
}

}  // namespace

std::vector<std::string_view> utf8_characters(std::string_view text, const std::string& where) {
  std::vector<std::string_view> characters;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = character_length(text.substr(at));
    if (length == 0) {
      char given[64];
      std::snprintf(given, sizeof given, "byte 0x%02X at offset %zu",
                    static_cast<unsigned>(static_cast<std::uint8_t>(text[at])), at);
      throw Error(given, "UTF-8", where);
    }
    characters.push_back(text.substr(at, length));
    at += length;
  }
  return characters;
}

}  // namespace halftone::data
