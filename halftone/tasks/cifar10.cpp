// CIFAR-10: ten classes of photographs, 32x32, colour.
#include "halftone/data/sets/cifar10.h"

#include <cstdlib>

#include "halftone/base/error.h"
#include "halftone/tasks/task.h"

namespace halftone::tasks {
namespace {

std::filesystem::path default_directory() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache && *cache) return std::filesystem::path(cache) / "halftone" / "cifar10";
  const char* home = std::getenv("HOME");
  return std::filesystem::path(home ? home : ".") / ".cache" / "halftone" / "cifar10";
}

class Cifar10 : public Task {
 public:
  std::string name() const override { return "cifar10"; }
  std::string summary() const override {
    return "ten classes of photographs, 32x32 colour, 50,000 + 10,000 images";
  }
  std::string default_model() const override { return "resnet9"; }

  // ResNet-9 as in Page's "How to train your ResNet"; the others by the same recipe.
  TaskDefaults defaults(const std::string& model) const override {
    if (model == "mlp" || model == "cnn") return {10, 128, 0.05, 5e-4};
    return {model == "resnet9" ? 10 : 30, 128, 0.1, 5e-4};
  }

  std::filesystem::path find_data() const override {
    const auto directory = default_directory();
    if (std::filesystem::exists(directory)) return directory;
    throw Error("no CIFAR-10 at " + directory.string(),
                "--data with a directory of the binary batches (data_batch_1.bin, from "
                "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz), a tar of "
                "train/CLASS/*.jpg, or such a directory");
  }
  Datasets open(const std::filesystem::path& data) const override {
    return {data::cifar10(data, true), data::cifar10(data, false)};
  }

  data::Augmentation augmentation(bool train) const override {
    data::Augmentation augmentation{.mean = {0.4914, 0.4822, 0.4465},
                                    .standard_deviation = {0.2470, 0.2435, 0.2616}};
    if (!train) return augmentation;
    augmentation.crop_padding = 4;
    augmentation.padding = data::Padding::reflect;
    augmentation.horizontal_flip = true;
    augmentation.cutout = 8;
    return augmentation;
  }

  models::NetworkOptions network(const std::string& model) const override {
    return {.name = model, .channels = 3, .height = 32, .width = 32, .classes = 10};
  }
  std::vector<std::string> class_names() const override { return data::cifar10_classes(); }
};

}  // namespace

const Task& cifar10_task() {
  static const Cifar10 task;
  return task;
}

}  // namespace halftone::tasks
