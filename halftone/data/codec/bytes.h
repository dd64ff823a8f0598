// A view of a file's content.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace halftone::data {

using Bytes = std::span<const uint8_t>;

// `content` must outlive the view.
inline Bytes as_bytes(const std::string& content) {
  return {reinterpret_cast<const uint8_t*>(content.data()), content.size()};
}

// "<name>, offset <offset>": where an Error in a file is.
inline std::string at_offset(const std::string& name, uint64_t offset) {
  return name + ", offset " + std::to_string(offset);
}

}  // namespace halftone::data
