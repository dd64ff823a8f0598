#include <ATen/Functions.h>

#include "halftone/base/file.h"
#include "halftone/data/codec/image.h"
#include "halftone/tasks/saved_run.h"
#include "halftone/tasks/segmentation_learner.h"
#include "halftone/tasks/train_run.h"
#include "tests/data/codec/encode.h"
#include "tests/support/scratch.h"
#include "tests/support/tolerances.h"
#include "tests/tasks/task_rig.h"

namespace halftone::tasks {
namespace {

constexpr std::int64_t kSceneHeight = 36, kSceneWidth = 48;  // the network sees half
constexpr int kSky = 0, kRoad = 3, kCar = 8, kVoid = 11;

struct Scene {
  data::Pixels image{3, kSceneHeight, kSceneWidth, {}};
  std::string mask;
};

// Sky above, road below, one car, a void line at the bottom: each in its colour.
Scene draw_scene(int which) {
  const unsigned char colours[][3] = {{120, 180, 240}, {90, 90, 90}, {200, 30, 40}};
  Scene scene;
  scene.image.chw.resize(3 * kSceneHeight * kSceneWidth);
  for (int y = 0; y < kSceneHeight; ++y) {
    for (int x = 0; x < kSceneWidth; ++x) {
      const bool car = y > 16 && y < 28 && x > 2 + which % 24 && x < 20 + which % 24;
      const int colour = car ? 2 : y < 14 + which % 4 ? 0 : 1;
      for (int c = 0; c < 3; ++c) {
        scene.image.chw[static_cast<std::size_t>((c * kSceneHeight + y) * kSceneWidth + x)] =
            colours[colour][c];
      }
      const int klass = y == kSceneHeight - 1 ? kVoid : colour == 2 ? kCar : colour ? kRoad : kSky;
      scene.mask += static_cast<char>(klass);
    }
  }
  return scene;
}

struct Scenes {
  Scenes() {
    for (const auto& [split, count] : {std::pair("train", 8), {"val", 2}, {"test", 3}}) {
      std::string tar;
      for (int i = 0; i < count; ++i) {
        const Scene scene = draw_scene(5 * i);
        if (count == 8) {
          road_pixels +=
              static_cast<double>(std::count(scene.mask.begin(), scene.mask.end(), kRoad));
          car_pixels += static_cast<double>(std::count(scene.mask.begin(), scene.mask.end(), kCar));
        }
        const std::string name = std::to_string(i);
        tar += data::tar_entry(name + ".jpg", data::encode_jpeg(scene.image));
        tar += data::tar_entry(name + ".png", data::encode_png(scene.mask, kSceneHeight,
                                                               kSceneWidth, PNG_FORMAT_GRAY));
      }
      write_file(scratch / (split + std::string(".tar")), tar + data::tar_end());
    }
    const Scene photo = draw_scene(7);
    write_file(scratch / "photo.jpg", data::encode_jpeg(photo.image));
    const at::Tensor pixels = at::from_blob(const_cast<unsigned char*>(photo.image.chw.data()),
                                            {3, kSceneHeight, kSceneWidth}, at::kByte)
                                  .permute({1, 2, 0});
    for (const auto& [name, image] : {std::pair("plain.png", pixels.contiguous()),
                                      {"mirrored.png", pixels.flip(1).contiguous()}}) {
      const std::string samples(static_cast<const char*>(image.const_data_ptr()),
                                static_cast<std::size_t>(image.numel()));
      write_file(scratch / name,
                 data::encode_png(samples, kSceneHeight, kSceneWidth, PNG_FORMAT_RGB));
    }
  }
  std::shared_ptr<const TaskData> open() const { return find_task("camvid").open(scratch.path()); }
  Scratch scratch;
  double road_pixels = 0, car_pixels = 0;  // of the training images
};

RunConfig scenes_config(const char* preset) {
  RunConfig config = task_config("camvid", preset);
  config.batch = 4;
  return config;
}

TEST(CamVidTask, LearnsInEveryPrecision) {
  const Scenes scenes;
  for (const char* preset : {"fp32", "bf16", "fp16-master", "bf16-master"}) {
    expect_learns(scenes_config(preset), *scenes.open(), 0.8);
  }
}

TEST(CamVidTask, InterruptedRunsResumeToTheSameBits) {
  const Scenes scenes;
  expect_same_when_resumed(scenes_config("fp16-master"), *scenes.open());
}

TEST(CamVidTask, LossReadsHalfLogits) {
  const Scenes scenes;
  for (const char* preset : {"bf16", "fp16-master"}) {
    expect_loss_of_half_logits(scenes_config(preset), *scenes.open());
  }
}

TEST(CamVidTask, SavedRunPaintsImagesWithoutTheData) {
  const Scratch out;
  const Scenes scenes;
  RunConfig config = scenes_config("bf16");
  config.steps = 40;
  train_run(config, *scenes.open(), {.out = out.path(), .callbacks = {}});
  SavedRun run = load_run(out.path());
  const std::string photo = (scenes.scratch / "photo.jpg").string();
  PredictOptions options;
  options.pictures = (out / "pictures").string();
  const Answers answers = predict(run, {photo}, options);
  const Json& entry = answers.json.as_array()[0];
  EXPECT_GT(entry.at("shares").at("road").as_double(), 0.2);
  EXPECT_GT(entry.at("shares").at("sky").as_double(), 0.2);
  EXPECT_NE(answers.text.find("photo.segments.png"), std::string::npos) << answers.text;
  const at::Tensor picture = data::load_image(out / "pictures" / "photo.segments.png");
  EXPECT_EQ(picture.sizes(), at::IntArrayRef({3, kSceneHeight, kSceneWidth}));
  EXPECT_ERROR(predict(run, {photo, photo}, options), "would both be photo.segments.png");
  // What is seen does not depend on the side, but for the rounding of logits that are nearly equal.
  predict(run, {(scenes.scratch / "mirrored.png").string()}, options);
  const at::Tensor mirrored = data::load_image(out / "pictures" / "mirrored.segments.png");
  predict(run, {(scenes.scratch / "plain.png").string()}, options);
  const at::Tensor plain = data::load_image(out / "pictures" / "plain.segments.png");
  const at::Tensor differs = mirrored.flip(2).ne(plain).any(0);
  EXPECT_LT(differs.to(at::kDouble).mean().item<double>(), 0.01);
  // The weights in the loss: the fifth root of what the shares' ratio is.
  const Json classes = Json::parse(read_file(out / "classes.json"), "classes.json");
  const auto weight = [&](int klass) {
    return classes.at("weights").as_array()[static_cast<std::size_t>(klass)].as_double();
  };
  EXPECT_NEAR(weight(kCar) / weight(kRoad), std::pow(scenes.road_pixels / scenes.car_pixels, 0.2),
              1e-9);
  EXPECT_ERROR(predict(run, {"no.jpg"}, options), "no.jpg");

  const EvaluationReport report = evaluate_run(run, *scenes.open());
  EXPECT_EQ(report.evaluation.samples, 3);  // of test, not of val
  EXPECT_GT(report.evaluation.metric("pixel_accuracy"), 0.7);
  ASSERT_EQ(report.details.table.size(), 12u);
  EXPECT_EQ(report.details.table[1][0], "sky");
  EXPECT_GT(report.details.json.at("iou").at("sky").as_double(), 0.5);
}

TEST(PixelLoss, WeighsClassesAndPassesOverVoid) {
  const at::Tensor logits = at::randn({2, 3, 4, 5});
  const at::Tensor weights = at::tensor({0.5f, 1.f, 2.f});
  at::Tensor target = at::randint(0, 4, {2, 4, 5}, at::kLong);
  const at::Tensor expected =
      at::cross_entropy_loss(logits, target, weights, at::Reduction::Mean, 3);
  EXPECT_NEAR(pixel_loss(logits, target, weights).item<double>(), expected.item<double>(),
              tolerance::kFp32);
  EXPECT_EQ(pixel_loss(logits, target.fill_(3), weights).item<double>(), 0);  // no NaN
}

}  // namespace
}  // namespace halftone::tasks
