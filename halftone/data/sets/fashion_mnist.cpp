#include "halftone/data/sets/fashion_mnist.h"

#include <ATen/Functions.h>

#include <cstdlib>
#include <cstring>

#include "halftone/base/error.h"
#include "halftone/data/codec/bytes.h"
#include "halftone/data/sets/idx.h"

namespace halftone::data {
namespace {

constexpr int64_t kSide = 28;

std::filesystem::path images_file(bool train) {
  return train ? "train-images-idx3-ubyte" : "t10k-images-idx3-ubyte";
}

std::filesystem::path labels_file(bool train) {
  return train ? "train-labels-idx1-ubyte" : "t10k-labels-idx1-ubyte";
}

at::Tensor read_images(const std::filesystem::path& path) {
  const Idx idx = read_idx(path, 3);
  if (idx.shape[1] != kSide || idx.shape[2] != kSide) {
    throw Error("images of " + std::to_string(idx.shape[1]) + "x" + std::to_string(idx.shape[2]),
                "28x28", at_offset(idx.name, 8));
  }
  at::Tensor images = at::empty({idx.shape[0], 1, kSide, kSide}, at::kByte);
  std::memcpy(images.mutable_data_ptr<uint8_t>(), idx.content.data() + idx.offset, images.nbytes());
  return images;
}

std::vector<int64_t> read_labels(const std::filesystem::path& path, int64_t images) {
  const Idx idx = read_idx(path, 1);
  if (idx.shape[0] != images) {
    throw Error(std::to_string(idx.shape[0]) + " labels",
                std::to_string(images) + ", one for each image", at_offset(idx.name, 4));
  }
  const auto classes = static_cast<int64_t>(fashion_mnist_classes().size());
  std::vector<int64_t> labels;
  labels.reserve(static_cast<size_t>(images));
  for (size_t offset = idx.offset; offset < idx.content.size(); ++offset) {
    labels.push_back(static_cast<uint8_t>(idx.content[offset]));
    if (labels.back() >= classes) {
      throw Error("label " + std::to_string(labels.back()), "0 to " + std::to_string(classes - 1),
                  at_offset(idx.name, offset));
    }
  }
  return labels;
}

bool has_all_files(const std::filesystem::path& dir) {
  for (bool train : {true, false}) {
    for (std::filesystem::path path : {dir / images_file(train), dir / labels_file(train)}) {
      std::error_code ignored;
      if (std::filesystem::exists(path, ignored)) continue;
      if (!std::filesystem::exists(path += ".gz", ignored)) return false;
    }
  }
  return true;
}

}  // namespace

std::shared_ptr<Dataset> fashion_mnist(const std::filesystem::path& dir, bool train) {
  at::Tensor images = read_images(dir / images_file(train));
  const int64_t count = images.size(0);
  return std::make_shared<MemoryDataset>(std::move(images),
                                         read_labels(dir / labels_file(train), count),
                                         fashion_mnist_classes(), dir.string());
}

std::filesystem::path find_fashion_mnist() {
  std::vector<std::filesystem::path> places;
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  if (cache && *cache) {
    places.push_back(std::filesystem::path(cache) / "halftone/fashion-mnist");
  } else if (home && *home) {
    places.push_back(std::filesystem::path(home) / ".cache/halftone/fashion-mnist");
  }
  places.emplace_back("/usr/share/datasets/fashion-mnist");  // Debian's package, installed
  std::string looked;
  for (const auto& place : places) {
    if (has_all_files(place)) return place;
    looked += (looked.empty() ? "" : " or ") + place.string();
  }
  throw Error("Fashion-MNIST is not in " + looked,
              "its four files: scripts/fetch_fashion_mnist.sh gets them, or name their directory");
}

std::vector<std::string> fashion_mnist_classes() {
  return {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
          "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};
}

}  // namespace halftone::data
