// Files that are whole or not there, and files that only grow. Errors carry the system's reason.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include "halftone/base/export.h"

namespace halftone {

// The whole file. Throws Error "<path>: cannot read (…)".
HALFTONE_API std::string read_file(const std::filesystem::path& path);

// Creates the directory and those above it. Throws Error "<path>: cannot create (…)".
HALFTONE_API void make_directories(const std::filesystem::path& path);

// A file that appears under its name only when it is complete: it is written beside it as
// "<name>.tmp", synced, renamed, and the directory is synced. Destroyed before commit(), or when a
// write fails, it leaves nothing behind. Not thread-safe.
class HALFTONE_API AtomicFile {
 public:
  // Throws Error where the temporary file cannot be created.
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  // Throws Error "<path>: cannot write (No space left on device)"; the file of that name before,
  // if there is one, stays as it was.
  void write(const void* data, std::size_t size);
  void commit();

 private:
  [[noreturn]] void fail(const char* what);
  void discard() noexcept;

  std::filesystem::path path_, temporary_;
  int descriptor_ = -1;
};

HALFTONE_API void write_file(const std::filesystem::path& path, std::string_view content);

// A file to which whole records are added, each by one write: a process that is killed loses none
// that append() has returned from. Not thread-safe.
class HALFTONE_API AppendFile {
 public:
  // Opens for appending, creates where there is none; truncate: empties it first. Throws Error.
  explicit AppendFile(std::filesystem::path path, bool truncate = false);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  // Throws Error "<path>: cannot write (…)".
  void append(std::string_view record);

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace halftone
