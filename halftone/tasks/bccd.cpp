// BCCD: red and white blood cells and platelets under a microscope, each in a box.
#include <algorithm>

#include "halftone/base/error.h"
#include "halftone/data/sets/pascal_voc.h"
#include "halftone/tasks/detection_learner.h"
#include "halftone/tasks/loaders.h"
#include "halftone/tasks/task.h"

namespace halftone::tasks {
namespace {

constexpr std::int64_t kMostSlides = 8;  // images at a time: the maps are large

std::vector<std::string> cell_names() { return {"RBC", "WBC", "Platelets"}; }

data::BoxBatchOptions slide_options(bool train) {
  data::BoxBatchOptions options;
  options.view.window = {.height = 192, .width = 256};
  // Mean and deviation of the training images' pixels.
  options.view.mean = {0.737, 0.696, 0.715};
  options.view.deviation = {0.061, 0.102, 0.076};
  if (!train) return options;
  options.view.augment = true;
  options.view.window.least_scale = 0.8;
  options.view.window.most_scale = 1.5;
  options.view.window.stretch = 1.2;
  options.view.window.horizontal_flip = options.view.window.vertical_flip =
      true;  // a slide has no upright
  options.view.window.brightness = 0.1;
  options.view.window.contrast = 0.2;
  return options;
}

class CellData : public TaskData {
 public:
  CellData(const std::filesystem::path& path, const OpenOptions& options)
      : workers_(options.workers),
        cache_(std::make_shared<data::ImageCache>(options.cache_bytes)),
        train_(data::pascal_voc(path, "train", cell_names(), cache_)),
        validation_(data::pascal_voc(path, "val", cell_names(), cache_)),
        test_(data::pascal_voc(path, "test", cell_names(), cache_)) {}

  std::shared_ptr<data::BatchSource> train(const RunConfig& config, Learner&) const override {
    return train_loader(std::make_shared<data::BoxBatches>(train_, slide_options(true)), config,
                        "images", workers_);
  }
  std::shared_ptr<data::BatchSource> evaluation(std::int64_t batch, Learner&) const override {
    return judged_by(validation_, batch);
  }
  std::shared_ptr<data::BatchSource> test(std::int64_t batch, Learner&) const override {
    return judged_by(test_, batch);
  }

 private:
  std::shared_ptr<data::BatchSource> judged_by(
      const std::shared_ptr<const data::BoxedImages>& images, std::int64_t batch) const {
    return evaluation_loader(std::make_shared<data::BoxBatches>(images, slide_options(false)),
                             std::min(batch, kMostSlides), workers_);
  }

  int workers_;
  std::shared_ptr<data::ImageCache> cache_;
  std::shared_ptr<const data::BoxedImages> train_, validation_, test_;
};

class Bccd : public Task {
 public:
  const TaskFacts& facts() const override {
    static const TaskFacts facts{
        .name = "bccd",
        .summary = "blood cells and platelets in boxes, 205 + 87 + 72 images",
        .noun = "images",
        .models = {"fcos"},
        .source =
            "BCCD of github.com/Shenggan/BCCD_Dataset, the layout of PASCAL VOC: "
            "its directory BCCD, or a tar of it",
        .files = {{"bccd.tar", "fc3c951b53d773b00569d1ca44e879ab8612eb1ce2a541b06197ce184f0c3bd2"}},
        .time = "about 18 minutes (two cores with AVX-512, bf16)"};
    return facts;
  }

  TaskDefaults defaults(const std::string&) const override {
    return {24, 4, 1e-3, 0.05,
            Recipe{.optimizer = OptimizerKind::adamw,
                   .clip_norm = 10.0,
                   .schedule = ScheduleKind::warm_up_cosine,
                   .warm_up = 0.05}};
  }

  std::filesystem::path find_data() const override {
    const auto directory = cache_directory(name());
    if (std::filesystem::exists(directory)) return directory;
    throw Error("no BCCD at " + directory.string(),
                "--data with a tar or a directory of ImageSets/Main, JPEGImages and Annotations");
  }
  std::shared_ptr<const TaskData> open(const std::filesystem::path& data,
                                       const OpenOptions& options) const override {
    return std::make_shared<CellData>(data, options);
  }

  std::shared_ptr<Learner> learner(const RunConfig& config, const Assets&) const override {
    DetectionFacts facts{.class_names = cell_names(),
                         .colours = {{200, 30, 30}, {20, 60, 200}, {20, 130, 40}},
                         .view = slide_options(false).view};
    const models::FcosOptions options{
        .classes = static_cast<std::int64_t>(facts.class_names.size()),
        .seed = config.seed,
        .init = config.policy.init};
    return std::make_shared<DetectionLearner>(std::make_shared<models::Fcos>(options),
                                              std::move(facts));
  }
};

}  // namespace

const Task& bccd_task() {
  static const Bccd task;
  return task;
}

}  // namespace halftone::tasks
