#include "halftone/tasks/compare.h"

#include <set>
#include <sstream>

#include "halftone/base/error.h"
#include "halftone/base/file.h"
#include "halftone/tasks/compare_report.h"
#include "halftone/tasks/lockstep_run.h"
#include "halftone/tasks/precision_choice.h"
#include "halftone/tasks/saved_run.h"
#include "tests/support/scratch.h"
#include "tests/support/test.h"
#include "tests/tasks/striped_images.h"

namespace halftone::tasks {
namespace {

Comparison made_up(double fp32_ms, double mixed_ms) {
  Comparison comparison;
  comparison.config = small_config("bf16");
  comparison.choice = "bf16";
  for (int i = 0; i < 5; ++i) {
    comparison.fp32.step_ms.add(fp32_ms + i);
    comparison.mixed.step_ms.add(mixed_ms + i);
  }
  comparison.fp32.name = "fp32";
  comparison.mixed.name = "bf16";
  comparison.mixed.format = Format::bf16;
  for (double accuracy : {0.5, 0.9, 0.91, 0.92, 0.905}) {
    const auto kind = metrics::accuracy_kind();
    comparison.fp32.evaluations.push_back({.samples = 10, .metrics = {{kind, accuracy}}});
    comparison.mixed.evaluations.push_back({.samples = 10, .metrics = {{kind, accuracy - 0.01}}});
  }
  comparison.fp32.memory = MemoryPeaks{.tensor_bytes = 200, .rss_bytes = 1000};
  comparison.mixed.memory = MemoryPeaks{.tensor_bytes = 150, .rss_bytes = 900};
  return comparison;
}

std::set<std::string> keys(const Json& json) {
  std::set<std::string> names;
  for (const auto& [name, value] : json.as_object()) names.insert(name);
  return names;
}

TEST(Compare, TwoEqualArmsTakeTheSameStepsBitForBit) {
  const Scratch out;
  const auto data = striped_images(320);
  std::int64_t told = 0;
  const Comparison comparison =
      compare(small_config("fp32"), *data,
              {.out = out.path(), .progress = [&](const CompareProgress&) { ++told; }});
  EXPECT_EQ(comparison.steps, 24);
  EXPECT_EQ(told, 24);
  EXPECT_EQ(comparison.fp32.loss.y, comparison.mixed.loss.y);
  EXPECT_EQ(comparison.fp32.evaluations.size(), 6u);
  EXPECT_EQ(comparison.fp32.final_metric(), comparison.mixed.final_metric());
  EXPECT_EQ(read_file(out.path() / "fp32/weights.safetensors"),
            read_file(out.path() / "fp32-again/weights.safetensors"));
}

TEST(Compare, MixedArmComputesInItsFormatAndBothLearn) {
  const Scratch out;
  const auto data = striped_images(320);
  const Comparison comparison = compare(small_config("bf16"), *data, {.out = out.path()});
  EXPECT_NE(comparison.fp32.loss.y, comparison.mixed.loss.y);
  EXPECT_NEAR(comparison.fp32.loss.y[0], comparison.mixed.loss.y[0], 0.02);
  EXPECT_GT(comparison.fp32.best_metric(), 0.8);
  EXPECT_GT(comparison.mixed.best_metric(), 0.8);
}

TEST(Compare, LockstepGoesIntoTheReportsAndLeavesBothArmsAsTheyWere) {
  const Scratch out, plain;
  const auto data = striped_images(320);
  const Comparison comparison =
      compare(small_config("bf16"), *data, {.out = out.path(), .lockstep_batches = 2});
  ASSERT_TRUE(comparison.lockstep);
  EXPECT_EQ(comparison.lockstep->batches, 2);
  EXPECT_EQ(comparison.lockstep->policy_a, "fp32");
  EXPECT_EQ(comparison.lockstep->headline(), "");
  EXPECT_GT(comparison.lockstep->operations[1].output, 1e-4);
  EXPECT_NE(read_file(out.path() / "report.html").find("Operation by operation"),
            std::string::npos);
  EXPECT_TRUE(Json::parse(read_file(out.path() / "report.json")).find("lockstep"));
  compare(small_config("bf16"), *data, {.out = plain.path()});
  for (const char* arm : {"fp32", "bf16"}) {
    EXPECT_EQ(read_file(out.path() / arm / "weights.safetensors"),
              read_file(plain.path() / arm / "weights.safetensors"));
  }
}

TEST(Compare, LockstepNamesWhatOneArmAloneRuns) {
  numerics::LockstepReport report;
  report.policy_a = "fp32";
  report.policy_b = "bf16";
  report.batches = 1;
  report.operations.push_back(
      {.name = "fc.weight · linear", .format_a = "fp32", .format_b = "bf16"});
  report.only_a = {"conv.weight · conv2d", "after conv.weight · relu"};
  report.only_b = {"conv.weight · conv2d_relu"};
  const auto rows = lockstep_table(report).rows();
  ASSERT_EQ(rows.size(), 5u);  // the header first
  EXPECT_EQ(rows[2].front(), "conv.weight · conv2d");
  EXPECT_EQ(rows[2].back(), "fp32 alone");
  EXPECT_EQ(rows[3].front(), "after conv.weight · relu");
  EXPECT_EQ(rows[4].front(), "conv.weight · conv2d_relu");
  EXPECT_EQ(rows[4].back(), "bf16 alone");
  EXPECT_NE(lockstep_summary(report).find("; 3 operations that one policy alone runs"),
            std::string::npos)
      << lockstep_summary(report);
}

TEST(Compare, EachArmIsARunThatCanBeEvaluated) {
  const Scratch out;
  const auto data = striped_images(320);
  const Comparison comparison = compare(small_config("bf16"), *data, {.out = out.path()});
  SavedRun run = load_run(out.path() / "bf16");
  EXPECT_EQ(run.config, small_config("bf16"));
  const EvaluationReport report = evaluate_run(run, *data);
  EXPECT_EQ(report.evaluation.samples, 320);
  EXPECT_NEAR(report.evaluation.metric("accuracy"), comparison.mixed.final_metric(), 1e-9);
  EXPECT_TRUE(std::filesystem::exists(out.path() / "bf16/metrics.jsonl"));
}

TEST(Compare, AnArmsDirectoryStaysBesideTheOther) {
  EXPECT_EQ(arm_directory("bf16-master"), "bf16-master");
  EXPECT_EQ(arm_directory("../../escaped"), "______escaped");
  EXPECT_EQ(arm_directory("two words/\n"), "two_words__");
  EXPECT_EQ(arm_directory(".."), "__");
  EXPECT_EQ(arm_directory("report.html"), "report_html");
  EXPECT_EQ(arm_directory(""), "mixed");
  EXPECT_EQ(arm_directory("fp32"), "fp32-again");
  EXPECT_EQ(arm_directory("checkpoints"), "checkpoints-again");
  EXPECT_EQ(arm_directory(std::string(300, 'a')).size(), 100u);
}

RunConfig named_config(const std::string& name, std::int64_t steps) {
  RunConfig config = small_config("bf16");
  config.policy.name = name;
  config.steps = steps;
  return config;
}

TEST(Compare, ARunThatIsThereStaysUnlessToldOtherwise) {
  const Scratch out;
  const auto data = striped_images(320);
  compare(named_config("a", 2), *data, {.out = out.path()});
  const std::string config = read_file(out.path() / "config.toml");
  const std::string weights = read_file(out.path() / "fp32/weights.safetensors");
  EXPECT_ERROR(compare(named_config("b", 3), *data, {.out = out.path()}),
               "a run is there already; expected another directory, or --overwrite");
  std::filesystem::remove(out.path() / "report.json");
  std::filesystem::remove(out.path() / "report.html");
  EXPECT_ERROR(compare(named_config("b", 3), *data, {.out = out.path()}), "fp32: a run is there");
  EXPECT_EQ(read_file(out.path() / "config.toml"), config);
  EXPECT_EQ(read_file(out.path() / "fp32/weights.safetensors"), weights);
  EXPECT_FALSE(std::filesystem::exists(out.path() / "b"));
  const Comparison again =
      compare(named_config("b", 3), *data, {.out = out.path(), .overwrite = true});
  EXPECT_EQ(again.unsaved, "");
  EXPECT_NE(read_file(out.path() / "fp32/weights.safetensors"), weights);
}

TEST(Compare, WhatIsRefusedLeavesNoRunBehind) {
  const Scratch out;
  RunConfig config = small_config("bf16");
  config.policy.modules = {{"nosuch*", Format::fp32}};
  EXPECT_ERROR(compare(config, *striped_images(64), {.out = out.path()}), "nosuch*");
  EXPECT_EQ(out.names().size(), 0u);
}

TEST(Compare, ADiskThatIsFullAfterTheLastStepLosesNoReport) {
  const Scratch out;
  const auto data = striped_images(320);
  const auto block = [&](const CompareProgress& progress) {  // a checkpoint can't be written there
    if (progress.step == 1) write_file(out.path() / "fp32/checkpoints", "in the way");
  };
  const Comparison comparison =
      compare(named_config("a", 6), *data, {.out = out.path(), .progress = block});
  EXPECT_TRUE(comparison.complete);
  EXPECT_NE(comparison.unsaved.find("fp32/checkpoints: cannot create"), std::string::npos)
      << comparison.unsaved;
  EXPECT_EQ(read_file(out.path() / "report.json"), compare_json(comparison).dump(2) + "\n");
  EXPECT_TRUE(std::filesystem::exists(out.path() / "a/weights.safetensors"));
}

TEST(Compare, AMemoryPassThatFailsLosesNothingElse) {
  const Scratch out;
  const auto data = striped_images(320);
  bool reported_before = false;
  const auto fail_once = [&](const std::filesystem::path& arm) {
    reported_before = std::filesystem::exists(out.path() / "report.html");
    if (arm.filename() == "fp32") throw Error("killed");
    return MemoryPeaks{.tensor_bytes = 7, .rss_bytes = 9};
  };
  const Comparison comparison =
      compare(named_config("a", 2), *data, {.out = out.path(), .measure_memory = fail_once});
  EXPECT_TRUE(reported_before);
  EXPECT_EQ(comparison.unsaved, "");
  const Json json = Json::parse(read_file(out.path() / "report.json"));
  EXPECT_TRUE(json.at("arms").as_array()[0].at("peak_tensor_bytes").is_null());
  EXPECT_EQ(json.at("arms").as_array()[1].at("peak_tensor_bytes").as_int(), 7);
  EXPECT_TRUE(json.at("memory_ratio").is_null());
}

TEST(Compare, StepsAndEvaluationsAreInTheirEpochs) {
  const Scratch out;
  compare(named_config("a", 12), *striped_images(320), {.out = out.path()});  // ten an epoch
  std::istringstream log(read_file(out.path() / "a/metrics.jsonl"));
  for (std::string line; std::getline(log, line);) {
    const Json json = Json::parse(line);
    EXPECT_EQ(json.at("epoch").as_int(), json.at("step").as_int() > 10 ? 1 : 0) << line;
  }
}

TEST(CompareReport, ClaimsNoSpeedWithoutATimedStep) {
  Comparison comparison = made_up(20, 10);
  comparison.fp32.step_ms.reset();
  comparison.mixed.step_ms.reset();
  const std::string summary = compare_summary(comparison);
  EXPECT_NE(summary.find("bf16 against fp32: step time not measured"), std::string::npos)
      << summary;
  EXPECT_EQ(summary.find("faster"), std::string::npos) << summary;
  EXPECT_EQ(summary.find("slower"), std::string::npos) << summary;
  const Json json = compare_json(comparison);
  EXPECT_TRUE(json.at("speedup").is_null());
  for (const char* key : {"step_ms_median", "step_ms_iqr", "samples_per_s"}) {
    EXPECT_TRUE(json.at("arms").as_array()[0].at(key).is_null()) << key;
  }
  const auto rows = compare_table(comparison).rows();
  EXPECT_EQ(rows[1],
            (std::vector<std::string>{"step time, median", "not measured", "not measured", ""}));
  const Scratch out;
  write_compare_reports(comparison, out.path());
}

TEST(CompareReport, JsonHasTheFieldsThatAreDocumented) {
  const Json json = compare_json(made_up(20, 10));
  EXPECT_EQ(keys(json), (std::set<std::string>{"task", "metric", "higher_is_better", "arms",
                                               "speedup", "memory_ratio"}));
  ASSERT_EQ(json.at("arms").as_array().size(), 2u);
  EXPECT_EQ(
      keys(json.at("arms").as_array()[1]),
      (std::set<std::string>{"name", "format", "step_ms_median", "step_ms_iqr", "samples_per_s",
                             "peak_tensor_bytes", "peak_rss_bytes", "final_accuracy",
                             "best_accuracy", "skipped_steps", "final_scale"}));
  EXPECT_DOUBLE_EQ(json.at("speedup").as_double(), 22.0 / 12.0);
  EXPECT_DOUBLE_EQ(json.at("memory_ratio").as_double(), 0.75);
  EXPECT_EQ(json.at("arms").as_array()[1].at("format").as_string(), "bf16");
}

TEST(CompareReport, SaysPlainlyWhereTheMixedArmIsNotFaster) {
  EXPECT_NE(compare_summary(made_up(20, 10)).find("bf16 trains 1.83 times as fast as fp32"),
            std::string::npos);
  const std::string slower = compare_summary(made_up(10, 20));
  EXPECT_NE(slower.find("bf16 is slower than fp32 on this machine"), std::string::npos) << slower;
  EXPECT_NE(slower.find("No half format is faster"), std::string::npos) << slower;
}

TEST(CompareReport, AccuracyIsComparedByTheMeanOfTheLastThree) {
  const std::string summary = compare_summary(made_up(20, 10));
  EXPECT_NE(summary.find("90.17 % against 91.17 % (-1.00 points"), std::string::npos) << summary;
}

TEST(CompareReport, WritesPageNumbersAndFigures) {
  const Scratch out;
  write_compare_reports(made_up(20, 10), out.path());
  for (const char* name :
       {"report.html", "report.json", "accuracy.png", "loss.png", "step_time.png"}) {
    EXPECT_GT(std::filesystem::file_size(out.path() / name), 100u) << name;
  }
}

TEST(PrecisionChoice, TakesTheFastestThatStaysFinite) {
  const Candidate fp32{.name = "fp32", .step_ms = 20};
  const Candidate bf16{.name = "bf16", .step_ms = 12};
  Candidate fp16{.name = "fp16", .step_ms = 8};
  EXPECT_EQ(choose_from({fp32, bf16, fp16}, false).policy.name, "fp16");
  fp16.finite = false;
  EXPECT_EQ(choose_from({fp32, bf16, fp16}, false).policy.name, "bf16");
}

TEST(PrecisionChoice, SaysWhereNoHalfFormatIsFaster) {
  const Candidate fp32{.name = "fp32", .step_ms = 20};
  const Candidate bf16{.name = "bf16", .step_ms = 30};
  const Candidate fp16{.name = "fp16", .step_ms = 2000, .measured = false};
  EXPECT_EQ(choose_from({fp32, bf16, fp16}, false).policy.name, "fp32");
  const PrecisionChoice mixed = choose_from({fp32, bf16, fp16}, true);
  EXPECT_EQ(mixed.policy.name, "bf16");
  EXPECT_NE(mixed.reason.find("no half format is faster than fp32"), std::string::npos)
      << mixed.reason;
  EXPECT_NE(mixed.reason.find("fp16 about 2000 ms"), std::string::npos) << mixed.reason;
}

TEST(PrecisionChoice, IsMeasuredOnTheTask) {
  const auto data = striped_images(640);
  const PrecisionChoice choice = choose_precision(small_config("fp32"), *data, true);
  ASSERT_EQ(choice.candidates.size(), 3u);
  for (const auto& candidate : choice.candidates) EXPECT_GT(candidate.step_ms, 0.0);
  EXPECT_TRUE(is_half(choice.policy.compute));
}

}  // namespace
}  // namespace halftone::tasks
