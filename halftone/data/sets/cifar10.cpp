#include "halftone/data/sets/cifar10.h"

#include <algorithm>

#include "halftone/base/error.h"
#include "halftone/base/file.h"
#include "halftone/data/sets/cifar10_binary.h"
#include "halftone/data/sets/class_tree.h"
#include "halftone/data/sets/image_list.h"

namespace halftone::data {
namespace {

namespace fs = std::filesystem;

constexpr std::array<int64_t, 3> kShape{3, 32, 32};

bool has_binary_batch(const fs::path& dir) {
  std::error_code ignored;
  for (bool train : {true, false}) {
    for (const auto& name : cifar10_binary_files(train)) {
      if (fs::exists(dir / name, ignored)) return true;
    }
  }
  return false;
}

}  // namespace

std::shared_ptr<Dataset> cifar10(const fs::path& path, bool train, int threads) {
  const std::string split = train ? "train" : "test";
  const auto decode = [&](const ImageList& list) {
    return decode_all(list, cifar10_classes(), kShape, threads);
  };
  std::error_code ignored, error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) {
    throw Error("no such file or directory", "CIFAR-10", path.string());
  }
  if (!fs::exists(status)) {
    throw Error("cannot read (" + error.message() + ")", "CIFAR-10, where this user may read it",
                path.string());
  }
  if (!fs::is_directory(path, ignored)) return decode(list_tar(path, split, cifar10_classes()));
  for (const fs::path& dir : {path, path / "cifar-10-batches-bin"}) {
    if (has_binary_batch(dir)) return cifar10_binary(dir, train);
  }
  if (fs::is_directory(path / split, ignored)) {
    return decode(list_directory(path / split, cifar10_classes()));
  }
  if (const fs::path tar = only_tar(path); !tar.empty()) {
    return decode(list_tar(tar, split, cifar10_classes()));
  }
  throw Error("a directory without CIFAR-10",
              "data_batch_1.bin and so on, " + split + "/CLASS/*.jpg, or one .tar of these",
              path.string());
}

std::vector<std::string> cifar10_classes() {
  return {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};
}

}  // namespace halftone::data
