#include "halftone/data/sets/file_collection.h"

#include <memory>
#include <vector>

#include "halftone/base/error.h"
#include "halftone/base/file.h"
#include "halftone/data/codec/tar.h"
#include "halftone/data/sets/class_tree.h"

namespace halftone::data {
namespace {

void list_below(const std::filesystem::path& directory, const std::string& prefix,
                std::map<std::string, std::function<std::string()>>& readers) {
  std::error_code ignored;
  for (const auto& entry : directory_entries(directory)) {
    const std::filesystem::path path = entry.path();
    const std::string name = prefix + path.filename().string();
    if (entry.is_directory(ignored)) {
      list_below(path, name + "/", readers);
    } else {
      readers[name] = [path] { return read_file(path); };
    }
  }
}

}  // namespace

FileCollection::FileCollection(const std::filesystem::path& path) : source_(path.string()) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    list_below(path, "", readers_);
    return;
  }
  const auto archive = std::make_shared<const TarReader>(path);
  for (const TarEntry& entry : archive->entries()) {
    readers_[entry.name] = [archive, &entry] { return archive->read(entry); };
  }
}

std::vector<std::string> FileCollection::names() const {
  std::vector<std::string> names;
  for (const auto& [name, reader] : readers_) names.push_back(name);
  return names;
}

std::string FileCollection::read(const std::string& name) const {
  const auto found = readers_.find(name);
  if (found == readers_.end()) throw Error("no such file", name, source_);
  return found->second();
}

}  // namespace halftone::data
