// CRC-32C (Castagnoli polynomial; RFC 3720, appendix B.4), as TFRecord and checkpoints use it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace halftone {

// The checksum of `size` bytes; `crc` is that of the bytes before them.
std::uint32_t crc32c(const void* data, std::size_t size, std::uint32_t crc = 0);

// TFRecord's rotation of a checksum, so that a checksum of data that holds one stays useful
// (tensorflow/core/lib/hash/crc32c.h).
constexpr std::uint32_t masked_crc32c(std::uint32_t crc) {
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

}  // namespace halftone
