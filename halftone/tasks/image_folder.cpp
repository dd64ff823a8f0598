// Any images in ImageNet's layout.
#include "halftone/data/sets/image_folder.h"

#include <algorithm>
#include <cmath>

#include "halftone/base/error.h"
#include "halftone/base/text.h"
#include "halftone/data/codec/image.h"
#include "halftone/tasks/image_learner.h"
#include "halftone/tasks/loaders.h"
#include "halftone/tasks/task.h"

namespace halftone::tasks {
namespace {

constexpr const char* kAssetFile = "classes.json";
constexpr std::int64_t kMostPhotos = 64;  // of an evaluation's batch: the maps are large
constexpr std::int64_t kLargestSide = 224, kSmallestSide = 32;
constexpr std::int64_t kSideStep = 8;       // what the CIFAR stem's networks divide it by
constexpr std::int64_t kLeastForStem = 96;  // from here on a 32nd of the side leaves enough
constexpr std::int64_t kPhotosMeasured = 16;

data::PhotoView photo_view(std::int64_t side, bool train) {
  data::PhotoView view;
  view.height = view.width = side;
  view.resize = std::llround(static_cast<double>(side) * 256 / 224);  // as is usual for ImageNet
  view.mean = {0.485, 0.456, 0.406};                                  // ImageNet's
  view.deviation = {0.229, 0.224, 0.225};
  view.augment = train;
  return view;
}

// Of what the network takes: the middle one of the images' shorter sides.
std::int64_t network_side(const data::Photos& photos) {
  std::vector<std::int64_t> sides;
  const std::int64_t count = std::min(kPhotosMeasured, photos.size());
  for (std::int64_t i = 0; i < count; ++i) {
    const at::Tensor image = photos.read(i * photos.size() / count);
    sides.push_back(std::min(image.size(1), image.size(2)));
  }
  std::nth_element(sides.begin(), sides.begin() + count / 2, sides.end());
  const std::int64_t side = sides[static_cast<std::size_t>(count / 2)] / kSideStep * kSideStep;
  return std::clamp(side, kSmallestSide, kLargestSide);
}

class FolderData : public TaskData {
 public:
  FolderData(const std::filesystem::path& path, const OpenOptions& options)
      : workers_(options.workers),
        classes_(data::image_folder_classes(path)),
        cache_(std::make_shared<data::ImageCache>(options.cache_bytes)),
        train_(data::image_folder(path, "train", classes_, cache_)),
        validation_(data::image_folder(path, "val", classes_, cache_)),
        side_(network_side(*train_)) {}

  std::shared_ptr<data::BatchSource> train(const RunConfig& config,
                                           Learner& learner) const override {
    const auto view = photo_view(side_for(learner), true);
    return train_loader(std::make_shared<data::PhotoBatches>(train_, view), config, "images",
                        workers_);
  }
  std::shared_ptr<data::BatchSource> evaluation(std::int64_t batch,
                                                Learner& learner) const override {
    const auto view = photo_view(side_for(learner), false);
    return evaluation_loader(std::make_shared<data::PhotoBatches>(validation_, view),
                             std::min(batch, kMostPhotos), workers_);
  }
  Assets assets() const override {
    Json json;
    json["side"] = side_;
    json["classes"] = Json::array();
    for (const std::string& name : classes_) json["classes"].push_back(name);
    return {{kAssetFile, json.dump() + "\n"}};
  }

 private:
  // What its network takes. A run may be resumed or judged with other images, not other classes.
  std::int64_t side_for(Learner& learner) const {
    const auto& classifier = dynamic_cast<ImageLearner&>(learner);
    if (classifier.class_names() == classes_) return classifier.network_options().height;
    throw Error("the folders " + join_few(classes_),
                "the classes of the network, " + join_few(classifier.class_names()),
                "image-folder");
  }

  int workers_;
  std::vector<std::string> classes_;
  std::shared_ptr<data::ImageCache> cache_;
  std::shared_ptr<const data::Photos> train_, validation_;
  std::int64_t side_;
};

class ImageFolderTask : public Task {
 public:
  const TaskFacts& facts() const override {
    static const TaskFacts facts{
        .name = "image-folder",
        .summary = "images of your own in ImageNet's layout, a folder for each class",
        .noun = "images",
        .models = {"resnet18", "resnet50", "mobilenet-v2"},
        .source = "a directory of train/CLASS/*.jpg (or .png) and val/CLASS/*.jpg",
        .time = "as the images are many and large",
        .assets = {kAssetFile}};
    return facts;
  }

  // Goyal et al. 2017 (arXiv:1706.02677): a rate of 0.1 for 256 images; Sandler et al. 2018: the
  // decay of MobileNetV2.
  TaskDefaults defaults(const std::string& model) const override {
    return {30, 64, 0.025, model == "mobilenet-v2" ? 4e-5 : 1e-4};
  }

  std::filesystem::path find_data() const override {
    throw Error("no directory of images", "--data with " + facts().source, name());
  }
  std::shared_ptr<const TaskData> open(const std::filesystem::path& data,
                                       const OpenOptions& options) const override {
    return std::make_shared<FolderData>(data, options);
  }

  std::shared_ptr<Learner> learner(const RunConfig& config, const Assets& assets) const override {
    const Json json = Json::parse(assets.at(kAssetFile), kAssetFile);
    const std::int64_t side = json.at("side").as_int();
    if (side < kSmallestSide || side > kLargestSide) {
      throw Error("side " + std::to_string(side), "32 to 224", kAssetFile);
    }
    std::vector<std::string> classes;
    for (const Json& name : json.at("classes").as_array()) classes.push_back(name.as_string());
    models::NetworkOptions options{.name = config.model,
                                   .height = side,
                                   .width = side,
                                   .classes = static_cast<std::int64_t>(classes.size())};
    options.stem = side >= kLeastForStem ? models::Stem::imagenet : models::Stem::cifar;
    options.seed = config.seed;
    options.init = config.policy.init;
    return std::make_shared<ImageLearner>(
        models::make_network(options), std::move(classes), [side](const std::string& file) {
          const at::Tensor image = data::load_image(file);
          return data::photo_input(photo_view(side, false),
                                   image.expand({3, image.size(1), image.size(2)}));
        });
  }
};

}  // namespace

const Task& image_folder_task() {
  static const ImageFolderTask task;
  return task;
}

}  // namespace halftone::tasks
