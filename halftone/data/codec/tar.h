// Reads a tar archive (POSIX.1-1988 ustar, POSIX.1-2001 pax names, GNU long names).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace halftone::data {

// A regular file in the archive.
struct TarEntry {
  std::string name;  // without a leading "./"
  uint64_t offset = 0, size = 0;
};

class TarReader {
 public:
  // Reads all headers. Throws Error with the offset where the archive is truncated, damaged or not
  // a tar.
  explicit TarReader(const std::filesystem::path& path);
  ~TarReader();
  TarReader(const TarReader&) = delete;
  TarReader& operator=(const TarReader&) = delete;

  const std::vector<TarEntry>& entries() const { return entries_; }

  // The content of one. Thread-safe. Throws Error.
  std::string read(const TarEntry& entry) const;

 private:
  std::string read_at(uint64_t offset, uint64_t size) const;
  void read_headers();

  std::string path_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
  std::vector<TarEntry> entries_;
};

}  // namespace halftone::data
