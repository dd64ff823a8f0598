#include "halftone/train/callbacks.h"

#include <algorithm>
#include <cstring>
#include <sstream>

#include "halftone/base/crc32c.h"
#include "halftone/base/json.h"
#include "tests/support/scratch.h"
#include "tests/support/test.h"

namespace halftone {
namespace {

StepInfo step_info(std::int64_t step) {
  StepInfo info;
  info.step = step;
  info.loss = 1.0 / static_cast<double>(step);
  info.lr = 0.1;
  info.scale = 65536;
  info.samples = 32;
  info.applied = step != 2;
  if (!info.applied) info.first_non_finite = "fc.weight";
  return info;
}

Evaluation evaluation(std::int64_t step) {
  Evaluation result;
  result.step = step;
  result.epoch = 0;
  result.samples = 100;
  result.loss = 0.5;
  result.metrics = {{metrics::accuracy_kind(), 0.9}};
  result.best = true;
  return result;
}

RunInfo run_info(std::int64_t first_step, std::int64_t total) {
  RunInfo run;
  run.first_step = first_step;
  run.total_steps = total;
  run.resumed = first_step > 0;
  return run;
}

std::vector<Json> lines_of(const std::filesystem::path& path) {
  std::vector<Json> lines;
  std::istringstream text(read_file(path));
  for (std::string line; std::getline(text, line);) lines.push_back(Json::parse(line));
  return lines;
}

TEST(JsonlLog, EveryLineIsThereWhenTheCallReturns) {
  Scratch scratch;
  JsonlLog log(scratch / "metrics.jsonl");
  log.on_start(run_info(0, 3));
  log.on_step(step_info(1));
  EXPECT_EQ(lines_of(scratch / "metrics.jsonl").size(), 1u);
  log.on_step(step_info(2));
  log.on_evaluation(evaluation(2));
  const auto lines = lines_of(scratch / "metrics.jsonl");
  EXPECT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[1].at("type").as_string(), "step");
  EXPECT_EQ(lines[1].at("first_non_finite").as_string(), "fc.weight");
  EXPECT_EQ(lines[1].at("loss").as_double(), 0.5);
  EXPECT_EQ(lines[2].at("type").as_string(), "evaluation");
  EXPECT_EQ(lines[2].at("accuracy").as_double(), 0.9);
}

TEST(JsonlLog, ResumeDropsLinesAfterTheResumedStepAndATornOne) {
  Scratch scratch;
  {
    JsonlLog log(scratch / "m");
    log.on_start(run_info(0, 9));
    for (int step = 1; step <= 5; ++step) log.on_step(step_info(step));
  }
  AppendFile(scratch / "m").append("{\"type\": \"step\", \"st");
  JsonlLog log(scratch / "m");
  log.on_start(run_info(3, 9));
  log.on_step(step_info(4));
  std::vector<std::int64_t> steps;
  for (const Json& line : lines_of(scratch / "m")) steps.push_back(line.at("step").as_int());
  EXPECT_EQ(steps, (std::vector<std::int64_t>{1, 2, 3, 4}));
}

TEST(JsonlLog, RunFromTheStartEmptiesTheFile) {
  Scratch scratch;
  for (int run = 0; run < 2; ++run) {
    JsonlLog log(scratch / "m");
    log.on_start(run_info(0, 1));
    log.on_step(step_info(1));
  }
  EXPECT_EQ(lines_of(scratch / "m").size(), 1u);
}

// TFRecord: length, masked checksum of the length, data, masked checksum of the data.
TEST(TensorBoardLog, RecordsHaveTheirLengthsAndChecksums) {
  Scratch scratch;
  {
    TensorBoardLog log(scratch.path());
    log.on_start(run_info(0, 1));
    log.on_step(step_info(1));
    log.on_evaluation(evaluation(1));
  }
  const auto names = scratch.names();
  EXPECT_EQ(names.size(), 1u);
  EXPECT_EQ(names[0].rfind("events.out.tfevents.", 0), 0u) << names[0];
  const std::string content = read_file(scratch / names[0]);
  std::size_t at = 0;
  int records = 0;
  const auto fixed = [&]<class Integer>(Integer value) {
    std::memcpy(&value, content.data() + at, sizeof value);
    at += sizeof value;
    return value;
  };
  while (at < content.size()) {
    const auto length = fixed(std::uint64_t{});
    EXPECT_EQ(fixed(std::uint32_t{}), masked_crc32c(crc32c(&length, 8)));
    ASSERT_LE(at + length + 4, content.size());
    const auto crc = masked_crc32c(crc32c(content.data() + at, length));
    at += length;
    EXPECT_EQ(fixed(std::uint32_t{}), crc);
    ++records;
  }
  EXPECT_EQ(records, 4);  // version, restart, step, evaluation
  EXPECT_NE(content.find("brain.Event:2"), std::string::npos);
  EXPECT_NE(content.find("eval/accuracy"), std::string::npos);
}

TEST(TensorBoardLog, EveryRunHasAFileOfItsOwn) {
  Scratch scratch;
  for (int run = 0; run < 3; ++run) TensorBoardLog(scratch.path()).on_start(run_info(run, 9));
  EXPECT_EQ(scratch.names().size(), 3u);
}

TEST(ProgressBar, IsPlainLinesWhereThereIsNoTerminal) {
  std::ostringstream out;
  ProgressBar bar(out, {.terminal = false, .seconds = 0});
  bar.on_start(run_info(0, 4));
  bar.on_step(step_info(1));
  EXPECT_EQ(out.str().find('\r'), std::string::npos);
  for (const char* part : {"epoch 1  step 1/4", "loss 1.0000", "samples/s", "scale 65536", "ETA "})
    EXPECT_NE(out.str().find(part), std::string::npos) << out.str();
  bar.on_evaluation(evaluation(1));
  EXPECT_NE(out.str().find("epoch 1  step 1  evaluation loss 0.5"), std::string::npos) << out.str();
  EXPECT_NE(out.str().find("accuracy 90.00 %  (best)\n"), std::string::npos) << out.str();
}

TEST(ProgressBar, PlainLinesComeEveryFewSecondsAndAtTheEnd) {
  std::ostringstream out;
  ProgressBar bar(out, {.terminal = false, .seconds = 1000});
  bar.on_start(run_info(0, 3));
  for (int step = 1; step <= 3; ++step) bar.on_step(step_info(step));
  const std::string text = out.str();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
  EXPECT_NE(text.find("3/3"), std::string::npos) << text;
}

TEST(ProgressBar, RedrawsOneLineOfTheTerminalAndClosesItAtTheEnd) {
  std::ostringstream out;
  {
    ProgressBar bar(out, {.terminal = true, .seconds = 5, .width = 100});
    bar.on_start(run_info(0, 1));
    bar.on_step(step_info(1));
    EXPECT_EQ(out.str().substr(0, 3), "\r[=");
    EXPECT_EQ(out.str().size(), 100u) << out.str();  // '\r' and 99 columns: no terminal wraps
  }
  EXPECT_EQ(out.str().back(), '\n');
}

TEST(ProgressBar, NarrowTerminalGetsNoBarButTheFacts) {
  std::ostringstream out;
  ProgressBar bar(out, {.terminal = true, .seconds = 5, .width = 40});
  bar.on_start(run_info(0, 1));
  bar.on_step(step_info(1));
  EXPECT_EQ(out.str().size(), 40u) << out.str();
  EXPECT_NE(out.str().find("1/1  loss"), std::string::npos) << out.str();
}

}  // namespace
}  // namespace halftone
