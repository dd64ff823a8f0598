#include "halftone/data/sets/class_tree.h"

#include <algorithm>
#include <cctype>

#include "halftone/base/error.h"
#include "halftone/base/file.h"
#include "halftone/base/log.h"
#include "halftone/base/text.h"
#include "halftone/data/codec/tar.h"

namespace halftone::data {
namespace {

namespace fs = std::filesystem;

constexpr size_t kNamedPassedOver = 5;

bool is_image_name(const fs::path& path) {
  std::string extension = path.extension().string();
  for (char& letter : extension) {
    letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  }
  return extension == ".jpg" || extension == ".jpeg" || extension == ".png";
}

int64_t label_of(const std::string& name, const std::vector<std::string>& classes,
                 const std::string& source) {
  const auto found = std::find(classes.begin(), classes.end(), name);
  if (found != classes.end()) return found - classes.begin();
  throw Error("class " + name, "one of " + join_few(classes), source);
}

// A person may have thought that they count. Hidden files are nobody's.
void warn_of_passed_over(std::vector<std::string> names, const std::string& source) {
  std::erase_if(names,
                [](const fs::path& name) { return name.filename().string().front() == '.'; });
  if (names.empty()) return;
  std::sort(names.begin(), names.end());
  warn(source + ": " + std::to_string(names.size()) +
       (names.size() == 1 ? " entry is" : " entries are") +
       " passed over, expected CLASS/*.jpg, *.jpeg or *.png: " + join_few(names, kNamedPassedOver));
}

// Sorts, so that the order does not depend on the file system or the archiver.
void finish(ImageList& list, const std::vector<std::string>& classes) {
  std::sort(list.images.begin(), list.images.end(),
            [](const ListedImage& a, const ListedImage& b) { return a.name < b.name; });
  std::vector<bool> seen(classes.size());
  for (const auto& image : list.images) seen[static_cast<size_t>(image.label)] = true;
  for (size_t i = 0; i < classes.size(); ++i) {
    if (seen[i]) continue;
    throw Error("no images of class " + classes[i],
                "CLASS/*.jpg or *.png for each of " + join_few(classes), list.source);
  }
}

}  // namespace

std::vector<fs::directory_entry> directory_entries(const fs::path& dir) {
  std::vector<fs::directory_entry> entries;
  std::error_code error;
  for (fs::directory_iterator each(dir, error), end; !error && each != end; each.increment(error)) {
    entries.push_back(*each);
  }
  if (error) {
    throw Error("cannot read (" + error.message() + ")", "a directory that this user may read",
                dir.string());
  }
  return entries;
}

fs::path only_tar(const fs::path& dir) {
  std::vector<fs::path> found;
  for (const auto& entry : directory_entries(dir)) {
    if (entry.path().extension() == ".tar") found.push_back(entry.path());
  }
  if (found.size() > 1) {
    std::sort(found.begin(), found.end());
    throw Error(std::to_string(found.size()) + " archives (" + found[0].filename().string() + ", " +
                    found[1].filename().string() + (found.size() > 2 ? ", …" : "") + ")",
                "one: name it instead of the directory", dir.string());
  }
  return found.empty() ? fs::path() : found[0];
}

ImageList list_directory(const fs::path& dir, const std::vector<std::string>& classes) {
  ImageList list;
  list.source = dir.string();
  std::vector<std::string> passed_over;
  std::error_code ignored;  // what is not known to be a directory is none
  for (const auto& folder : directory_entries(dir)) {
    const std::string name = folder.path().filename().string();
    if (!folder.is_directory(ignored)) {
      passed_over.push_back(name);
      continue;
    }
    const int64_t label = label_of(name, classes, list.source);
    for (const auto& file : directory_entries(folder.path())) {
      const std::string place = name + "/" + file.path().filename().string();
      if (is_image_name(file.path())) {
        list.images.push_back({place, label, 0});
      } else {
        passed_over.push_back(place);
      }
    }
  }
  warn_of_passed_over(std::move(passed_over), list.source);
  list.read = [dir](const ListedImage& image) { return read_file(dir / image.name); };
  finish(list, classes);
  return list;
}

ImageList list_tar(const fs::path& tar, const std::string& split,
                   const std::vector<std::string>& classes) {
  const auto archive = std::make_shared<TarReader>(tar);
  ImageList list;
  list.source = tar.string() + ", " + split + "/";
  const auto& entries = archive->entries();
  for (size_t i = 0; i < entries.size(); ++i) {
    const fs::path path = entries[i].name, folder = path.parent_path();
    if (folder.parent_path().filename() != split || !is_image_name(path)) continue;
    const std::string name = folder.filename().string();
    const int64_t label = label_of(name, classes, list.source);
    list.images.push_back({name + "/" + path.filename().string(), label, i});
  }
  list.read = [archive](const ListedImage& image) {
    return archive->read(archive->entries()[image.place]);
  };
  finish(list, classes);
  return list;
}

}  // namespace halftone::data
