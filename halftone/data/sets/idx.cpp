#include "halftone/data/sets/idx.h"

#include <cstdio>

#include "halftone/base/error.h"
#include "halftone/base/file.h"
#include "halftone/data/codec/bytes.h"
#include "halftone/data/codec/gunzip.h"

namespace halftone::data {
namespace {

constexpr uint32_t kUnsignedByte = 0x08;  // the third byte of the magic number; the fourth is
                                          // the number of dimensions

// More values than any file can hold: the product of the dimensions stays below.
constexpr uint64_t kMostValues = uint64_t{1} << 40;

std::filesystem::path find(const std::filesystem::path& path) {
  std::filesystem::path compressed = path;
  compressed += ".gz";
  for (const auto& candidate : {path, compressed}) {
    std::error_code ignored;
    if (std::filesystem::exists(candidate, ignored)) return candidate;
  }
  throw Error("no such file", "it or " + compressed.filename().string(), path.string());
}

uint32_t big_endian(const std::string& content, size_t offset, const std::string& name) {
  if (content.size() < offset + 4) {
    throw Error("the file ends", "a header of more bytes", at_offset(name, content.size()));
  }
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(content[offset + i]);
  return value;
}

std::string hex(uint32_t value) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%08x", value);
  return text;
}

}  // namespace

Idx read_idx(const std::filesystem::path& path, int dimensions) {
  const std::filesystem::path found = find(path);
  Idx idx;
  idx.name = found.string();
  idx.content = read_file(found);
  if (is_gzip(as_bytes(idx.content))) idx.content = gunzip(as_bytes(idx.content), idx.name);
  const uint32_t magic = big_endian(idx.content, 0, idx.name);
  const uint32_t expected = kUnsignedByte << 8 | static_cast<uint32_t>(dimensions);
  if (magic != expected) {
    throw Error("magic number " + hex(magic),
                hex(expected) + " (IDX, unsigned bytes, " + std::to_string(dimensions) +
                    (dimensions == 1 ? " dimension)" : " dimensions)"),
                at_offset(idx.name, 0));
  }
  uint64_t values = 1;
  for (int d = 0; d < dimensions; ++d) {
    idx.offset = 4 + 4 * static_cast<size_t>(d);
    const uint32_t extent = big_endian(idx.content, idx.offset, idx.name);
    if (extent == 0 || extent > kMostValues / values) {
      throw Error("dimension " + std::to_string(d) + " of " + std::to_string(extent),
                  extent == 0 ? "1 or more" : "less", at_offset(idx.name, idx.offset));
    }
    idx.shape.push_back(extent);
    values *= extent;
  }
  idx.offset += 4;
  if (idx.content.size() - idx.offset != values) {
    throw Error(std::to_string(idx.content.size() - idx.offset) + " bytes of values",
                std::to_string(values) + ", which the header says",
                at_offset(idx.name, idx.offset));
  }
  return idx;
}

}  // namespace halftone::data
