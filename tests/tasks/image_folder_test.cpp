#include <cmath>
#include <numeric>

#include "halftone/tasks/saved_run.h"
#include "halftone/tasks/train_run.h"
#include "tests/data/sets/photo_folder.h"
#include "tests/ops/override_support.h"
#include "tests/support/scratch.h"
#include "tests/tasks/task_rig.h"

namespace halftone::tasks {
namespace {

struct PhotoFolder {
  PhotoFolder() { write_photo_folder(scratch.path(), 4); }
  std::shared_ptr<const TaskData> open(const OpenOptions& options = {}) const {
    return find_task("image-folder").open(scratch.path(), options);
  }
  Scratch scratch;
};

// Running statistics of a few steps say little: what falls is the training loss.
struct Losses : Callback {
  void on_step(const StepInfo& info) override { seen.push_back(info.loss); }
  std::vector<double> seen;
};

RunConfig photo_config(const char* preset, const char* model) {
  RunConfig config = task_config("image-folder", preset, model);
  config.batch = 6;
  config.lr = 0.005;
  return config;
}

// The losses of config.steps steps.
std::vector<double> losses_of(const RunConfig& config, const TaskData& data) {
  const OverrideTest on;  // as on the command line
  const Session session = make_session(config, data);
  const auto losses = std::make_shared<Losses>();
  session.trainer->add_callback(losses);
  session.trainer->run();
  return losses->seen;
}

TEST(ImageFolderTask, LearnsInEveryPrecision) {
  const PhotoFolder photos;
  for (const auto& [preset, model] : {std::pair("fp32", "resnet18"),
                                      {"bf16-master", "mobilenet-v2"},
                                      {"fp16-master", "mobilenet-v2"}}) {
    SCOPED_TRACE(preset);
    RunConfig config = photo_config(preset, model);
    if (config.policy.compute == Format::fp16) config.steps = 40;  // the scale falls first
    const std::vector<double> losses = losses_of(config, *photos.open());
    ASSERT_EQ(losses.size(), static_cast<std::size_t>(config.steps));
    EXPECT_LT(std::accumulate(losses.end() - 5, losses.end(), 0.0) / 5, 0.8 * losses.front());
  }
}

TEST(ImageFolderTask, SavedRunNamesClassesWithoutTheData) {
  const PhotoFolder photos;
  const Scratch out, elsewhere;
  train_run(photo_config("bf16", "resnet18"), *photos.open(), {.out = out.path(), .callbacks = {}});
  SavedRun run = load_run(out.path());
  std::vector<std::string> files;
  const std::vector<std::string> classes{"ant", "bee", "cow"};
  for (const std::string& name : classes) {
    files.push_back((photos.scratch / ("val/" + name + "/0.jpg")).string());
  }
  const Answers answers = predict(run, files, {.top = 3});
  int right = 0;
  for (std::size_t i = 0; i < classes.size(); ++i) {
    const Json& answer = answers.json.as_array()[i];
    EXPECT_EQ(answer.at("top").as_array().size(), 3u);
    right += answer.at("class").as_string() == classes[i];
  }
  const EvaluationReport report = evaluate_run(run, *photos.open());
  EXPECT_EQ(report.evaluation.samples, 3);
  EXPECT_NEAR(report.evaluation.metric("accuracy"), right / 3.0, 1e-9);  // the same pixels, names
  EXPECT_ERROR(predict(run, {"no.jpg"}, {}), "no.jpg");

  write_photo_folder(elsewhere.path(), 1);
  std::filesystem::rename(elsewhere / "train/cow", elsewhere / "train/yak");
  std::filesystem::rename(elsewhere / "val/cow", elsewhere / "val/yak");
  EXPECT_ERROR(evaluate_run(run, *find_task("image-folder").open(elsewhere.path())),
               "the folders ant, bee, yak; expected the classes of the network, ant, bee, cow");
}

TEST(ImageFolderTask, NeitherCacheNorWorkersChangeALoss) {
  const PhotoFolder photos;
  RunConfig config = photo_config("fp32", "resnet18");
  config.steps = 6;  // three epochs
  const std::vector<double> expected = losses_of(config, *photos.open());
  ASSERT_EQ(expected.size(), 6u);
  for (const OpenOptions& options : {OpenOptions{.cache_bytes = 0, .workers = 3},
                                     {.cache_bytes = 20'000, .workers = 3},  // of 40,000
                                     {.cache_bytes = 1'000'000, .workers = 1}}) {
    EXPECT_EQ(losses_of(config, *photos.open(options)), expected)
        << options.cache_bytes << " bytes, " << options.workers << " workers";
  }
}

TEST(ImageFolderTask, InterruptedRunsResumeToTheSameBits) {
  const PhotoFolder photos;
  expect_same_when_resumed(photo_config("bf16-master", "mobilenet-v2"), *photos.open());
}

TEST(ImageFolderTask, TakesAnImageOfOnePixel) {
  const PhotoFolder photos;
  for (const char* place : {"train/ant/dot.png", "val/bee/dot.png"}) {
    write_file(photos.scratch / place, photo_png({3, 1, 1, {200, 30, 40}}));
  }
  RunConfig config = photo_config("fp32", "resnet18");
  config.steps = 2;
  config.batch = 13;  // all of them
  for (const double loss : losses_of(config, *photos.open())) EXPECT_TRUE(std::isfinite(loss));
}

TEST(ImageFolderTask, AnImageThatCannotBeReadEndsTheRunWithItsName) {
  const PhotoFolder photos;
  const auto data = photos.open();
  write_file(photos.scratch / "train/cow/2.jpg", "not an image");
  RunConfig config = photo_config("fp32", "resnet18");
  config.batch = 12;
  EXPECT_ERROR(losses_of(config, *data), "train/cow/2.jpg: a file that starts with 6e 6f 74 20");
}

}  // namespace
}  // namespace halftone::tasks
