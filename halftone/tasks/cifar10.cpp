// CIFAR-10: ten classes of photographs, 32x32, colour.
#include "halftone/data/sets/cifar10.h"

#include "halftone/base/error.h"
#include "halftone/tasks/fast_learner.h"
#include "halftone/tasks/image_task.h"

namespace halftone::tasks {
namespace {

class Cifar10 : public ImageTask {
 public:
  const TaskFacts& facts() const override {
    static const TaskFacts facts{
        .name = "cifar10",
        .summary = "ten classes of photographs, 32x32 colour, 50,000 + 10,000 images",
        .noun = "images",
        .models = {"resnet9", "resnet9-narrow", "resnet18", "resnet50", "mobilenet-v2", "fast",
                   "cnn", "mlp"},
        .source =
            "cifar-10-binary.tar.gz of www.cs.toronto.edu/~kriz/cifar.html, unpacked; or a "
            "tar or a directory of train/CLASS/*.jpg and test/CLASS/*.jpg",
        .time = "about two hours (two cores with AVX-512, bf16)",
        .slow_to_read = true};
    return facts;
  }

  // ResNet-9 as in Page's "How to train your ResNet"; the others by the same recipe.
  TaskDefaults defaults(const std::string& model) const override {
    if (model == "fast") return fast_defaults();
    if (model == "mlp" || model == "cnn") return {10, 128, 0.05, 5e-4};
    return {model.starts_with("resnet9") ? 10 : 30, 128, 0.1, 5e-4};
  }

  std::filesystem::path find_data() const override {
    const auto directory = cache_directory(name());
    if (std::filesystem::exists(directory)) return directory;
    throw Error("no CIFAR-10 at " + directory.string(),
                "--data with a directory of the binary batches (data_batch_1.bin, from "
                "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz), a tar of "
                "train/CLASS/*.jpg, or such a directory");
  }
  ImageSets open_images(const std::filesystem::path& data) const override {
    return {data::cifar10(data, true), data::cifar10(data, false)};
  }

  data::Augmentation augmentation() const override {
    return {.mean = {0.4914, 0.4822, 0.4465}, .standard_deviation = {0.2470, 0.2435, 0.2616}};
  }
  data::Augmentation training_augmentation(const std::string& model) const override {
    if (model == "fast") return fast_augmentation(augmentation());
    data::Augmentation augmentation = this->augmentation();
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
