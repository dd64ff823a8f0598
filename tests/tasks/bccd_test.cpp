#include "halftone/base/file.h"
#include "halftone/data/codec/image.h"
#include "halftone/tasks/saved_run.h"
#include "halftone/tasks/train_run.h"
#include "tests/data/sets/voc_fixture.h"
#include "tests/support/scratch.h"
#include "tests/tasks/task_rig.h"

namespace halftone::tasks {
namespace {

// Slides of a large blue and a smaller red cell each.
struct Slides {
  Slides() {
    for (const auto& [split, count] : {std::pair("train", 4), {"val", 1}, {"test", 3}}) {
      for (int i = 0; i < count; ++i) {
        const auto at = static_cast<float>(6 * i);
        data::add_voc_image(
            scratch.path(), split, split + std::to_string(i), 96, 128,
            {{"WBC", {8 + at, 10, 60 + at, 58}}, {"RBC", {70, 50 + at, 94, 74 + at}}});
      }
    }
  }
  std::shared_ptr<const TaskData> open() const { return find_task("bccd").open(scratch.path()); }
  Scratch scratch;
};

RunConfig slides_config(const char* preset) {
  RunConfig config = task_config("bccd", preset);
  config.batch = 1;
  return config;
}

TEST(BccdTask, LearnsInEveryPrecision) {
  const Slides slides;
  const OverrideTest on;
  for (const char* preset : {"fp32", "bf16", "fp16-master"}) {
    SCOPED_TRACE(preset);
    Session session = make_session(slides_config(preset), *slides.open());
    const Evaluation before = session.trainer->evaluate();
    const TrainResult result = session.trainer->run();
    EXPECT_EQ(result.steps, 20);
    EXPECT_LT(result.last.loss, 0.9 * before.loss);  // too few steps for a box of IoU 0.5
  }
}

TEST(BccdTask, InterruptedRunsResumeToTheSameBits) {
  const Slides slides;
  expect_same_when_resumed(slides_config("fp16-master"), *slides.open());
}

TEST(BccdTask, SavedRunDrawsBoxesWithoutTheData) {
  const Scratch out;
  const Slides slides;
  const OverrideTest on;
  RunConfig config = slides_config("bf16");
  config.steps = 80;
  train_run(config, *slides.open(), {.out = out.path(), .callbacks = {}});
  SavedRun run = load_run(out.path());
  const std::string photo = (slides.scratch / "JPEGImages/test1.jpg").string();
  PredictOptions options;
  options.pictures = (out / "pictures").string();
  const Answers answers = predict(run, {photo}, options);
  const Json& entry = answers.json.as_array()[0];
  for (const Json& box : entry.at("boxes").as_array()) {
    EXPECT_GE(box.at("score").as_double(), 0.4);
    for (const Json& edge : box.at("box").as_array()) EXPECT_LE(edge.as_double(), 128);
  }
  EXPECT_NE(answers.text.find("test1.boxes.png"), std::string::npos) << answers.text;
  EXPECT_EQ(data::load_image(out / "pictures" / "test1.boxes.png").sizes(),
            at::IntArrayRef({3, 96, 128}));
  EXPECT_ERROR(predict(run, {"no.jpg"}, options), "no.jpg");

  const EvaluationReport report = evaluate_run(run, *slides.open());
  EXPECT_EQ(report.evaluation.samples, 3);  // of test, not of val
  EXPECT_GT(report.evaluation.metric("map_50"), 0.3);
  ASSERT_EQ(report.details.table.size(), 4u);
  EXPECT_EQ(report.details.table[3][2], "–");  // no platelets there
}

}  // namespace
}  // namespace halftone::tasks
