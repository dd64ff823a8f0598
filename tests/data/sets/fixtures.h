// Small data sets on disk, in the formats of the real ones.
#pragma once

#include <filesystem>

#include "halftone/base/file.h"
#include "halftone/base/log.h"
#include "tests/data/codec/encode.h"

namespace halftone::data {

inline std::string kept_warnings;

// Keeps the warnings given while it lives in kept_warnings.
class KeepWarnings {
 public:
  KeepWarnings() {
    kept_warnings.clear();
    before_ = set_log_sink(
        [](std::string_view, std::string_view line) { kept_warnings += std::string(line) + "\n"; });
  }
  ~KeepWarnings() { set_log_sink(before_); }

 private:
  LogSink before_;
};

inline std::string big_endian(uint32_t value) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(value >> shift & 0xff);
  return text;
}

// Byte k of image i is (i + k) mod 256.
inline std::string idx_images(uint32_t count, uint32_t side = 28) {
  std::string content = big_endian(0x803) + big_endian(count) + big_endian(side) + big_endian(side);
  for (uint32_t i = 0; i < count; ++i) {
    for (uint32_t k = 0; k < side * side; ++k) content += static_cast<char>(i + k);
  }
  return content;
}

// The label of image i is i mod 10.
inline std::string idx_labels(uint32_t count) {
  std::string content = big_endian(0x801) + big_endian(count);
  for (uint32_t i = 0; i < count; ++i) content += static_cast<char>(i % 10);
  return content;
}

// Fashion-MNIST with few images; the training files as they are, the test files gzipped.
inline void write_fashion_mnist(const std::filesystem::path& dir, uint32_t train, uint32_t test) {
  std::filesystem::create_directories(dir);
  write_file(dir / "train-images-idx3-ubyte", idx_images(train));
  write_file(dir / "train-labels-idx1-ubyte", idx_labels(train));
  write_file(dir / "t10k-images-idx3-ubyte.gz", encode_gzip(idx_images(test)));
  write_file(dir / "t10k-labels-idx1-ubyte.gz", encode_gzip(idx_labels(test)));
}

}  // namespace halftone::data
