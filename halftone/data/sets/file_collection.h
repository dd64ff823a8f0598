// The files below a directory or in a tar archive, by name: for data sets whose examples are read
// when they are needed.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace halftone::data {

class FileCollection {
 public:
  // path: a tar archive, or a directory, with all that is below it. Throws Error.
  explicit FileCollection(const std::filesystem::path& path);

  // Sorted; with '/' between folders, relative to the directory.
  std::vector<std::string> names() const;
  // "PATH: NAME", for messages.
  std::string where(const std::string& name) const { return source_ + ": " + name; }
  const std::string& source() const { return source_; }
  bool contains(const std::string& name) const { return readers_.contains(name); }

  // The content. Thread-safe. Throws Error.
  std::string read(const std::string& name) const;

 private:
  std::string source_;
  std::map<std::string, std::function<std::string()>> readers_;
};

}  // namespace halftone::data
