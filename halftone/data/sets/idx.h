// The IDX format of the MNIST family (http://yann.lecun.com/exdb/mnist, "File formats").
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace halftone::data {

struct Idx {
  std::string name;            // the file that was read, for errors
  std::vector<int64_t> shape;  // the first is the count
  std::string content;         // the whole file, decompressed
  size_t offset = 0;           // of the first value in it
};

// Reads `path`, or where it does not exist `path`.gz: unsigned bytes in `dimensions` dimensions.
// Throws Error with file and offset where it is missing, truncated, corrupt or something else.
Idx read_idx(const std::filesystem::path& path, int dimensions);

}  // namespace halftone::data
