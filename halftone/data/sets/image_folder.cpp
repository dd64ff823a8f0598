#include "halftone/data/sets/image_folder.h"

#include <algorithm>
#include <utility>

#include "halftone/base/error.h"
#include "halftone/data/codec/image.h"
#include "halftone/data/sets/class_tree.h"

namespace halftone::data {
namespace {

std::filesystem::path split_directory(const std::filesystem::path& path, const std::string& split) {
  std::error_code ignored;
  const auto directory = path / split;
  if (std::filesystem::is_directory(directory, ignored)) return directory;
  throw Error("no directory " + split,
              "ImageNet's layout: train/CLASS/*.jpg (or .png) and val/CLASS/*.jpg", path.string());
}

class ImageFolder : public Photos {
 public:
  ImageFolder(ImageList list, int64_t classes, std::shared_ptr<ImageCache> cache)
      : list_(std::move(list)), classes_(classes), cache_(std::move(cache)) {}

  int64_t size() const override { return static_cast<int64_t>(list_.images.size()); }
  int64_t classes() const override { return classes_; }
  int64_t label(int64_t index) const override { return at(index).label; }
  at::Tensor read(int64_t index) const override {
    const std::string where = list_.source + "/" + at(index).name;
    return get_image(cache_.get(), where,
                     [&] { return decode_colour(list_.read(at(index)), where); });
  }

 private:
  const ListedImage& at(int64_t index) const { return list_.images[static_cast<size_t>(index)]; }

  ImageList list_;
  int64_t classes_;
  std::shared_ptr<ImageCache> cache_;
};

}  // namespace

std::vector<std::string> image_folder_classes(const std::filesystem::path& path) {
  const auto directory = split_directory(path, "train");
  std::vector<std::string> classes;
  std::error_code ignored;
  for (const auto& entry : directory_entries(directory)) {
    if (entry.is_directory(ignored)) classes.push_back(entry.path().filename().string());
  }
  if (classes.empty()) throw Error("no folders", "one for each class", directory.string());
  std::sort(classes.begin(), classes.end());
  return classes;
}

std::shared_ptr<const Photos> image_folder(const std::filesystem::path& path,
                                           const std::string& split,
                                           const std::vector<std::string>& classes,
                                           std::shared_ptr<ImageCache> cache) {
  return std::make_shared<ImageFolder>(list_directory(split_directory(path, split), classes),
                                       static_cast<int64_t>(classes.size()), std::move(cache));
}

}  // namespace halftone::data
