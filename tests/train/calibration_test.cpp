// [calibrate] on networks that train: what it moves, and what a run tells of it.
#include <torch/torch.h>

#include <map>
#include <sstream>

#include "halftone/base/error.h"
#include "halftone/base/file.h"
#include "halftone/base/json.h"
#include "halftone/train/callbacks.h"
#include "halftone/train/evaluation.h"
#include "halftone/train/weights.h"
#include "tests/support/scratch.h"
#include "tests/support/test.h"
#include "tests/train/calibration_rig.h"

namespace halftone {
namespace {

using namespace calibration_rig;

TEST(Calibration, TheOperationThatItsFormatHurtsIsNamedAndGoesUp) {
  CalibratedRun run(large_mean_policy());
  run.steps(4);
  EXPECT_EQ(run.trainer->last_calibration(), nullptr);
  run.steps(1);
  const CalibrationReport* report = run.trainer->last_calibration();
  ASSERT_NE(report, nullptr);
  EXPECT_EQ(report->step, 5);
  EXPECT_GT(report->found.loss_gap(), 0.05);
  EXPECT_LT(report->left.loss_gap(), 0.05);
  const auto& moves = run.trainer->precision_switches();
  ASSERT_EQ(moves.size(), 1u) << report->note;
  EXPECT_EQ(moves[0].name, "hurt.weight");
  EXPECT_EQ(moves[0].from, "bf16");
  EXPECT_EQ(moves[0].to, "fp32");
  run.steps(20);
  EXPECT_EQ(run.trainer->precision_switches().size(), 1u);
  EXPECT_LT(run.trainer->last_calibration()->found.loss_gap(), 0.05);
}

// As in fp32, where bf16 alone does not learn.
TEST(Calibration, ItRescuesTheTraining) {
  constexpr int kSteps = 150;
  const auto loss_after = [](const Policy& policy) {
    CalibratedRun run(policy);
    run.steps(kSteps);
    run.trainer->step(*run.source->next());
    const WeightsReplaced same(*run.net, named_weights(*run.net), at::kFloat);
    return run.trainer->evaluate().loss;
  };
  Policy calibrated = large_mean_policy(), plain = Policy::preset("bf16");
  calibrated.evaluation = plain.evaluation = Format::fp32;
  const double fp32 = loss_after(Policy::preset("fp32")), rescued = loss_after(calibrated),
               bf16 = loss_after(plain);
  EXPECT_LT(rescued, 1.25 * fp32);
  EXPECT_GT(bf16, 2 * rescued);
}

TEST(Calibration, WhatIsNoLongerHurtComesDownAgain) {
  CalibratedRun run(large_mean_policy());
  run.steps(5);
  ASSERT_EQ(run.trainer->precision_switches().size(), 1u);
  run.net->offset = 0;
  run.steps(10);
  const auto& moves = run.trainer->precision_switches();
  ASSERT_EQ(moves.size(), 2u);
  EXPECT_EQ(moves[1].name, "hurt.weight");
  EXPECT_EQ(moves[1].from, "fp32");
  EXPECT_EQ(moves[1].to, "bf16");
  EXPECT_EQ(moves[1].step, 15);
  EXPECT_EQ(run.trainer->last_calibration()->raised, 0);
  run.net->offset = 1000;
  run.steps(5);
  ASSERT_EQ(moves.size(), 3u);
  EXPECT_EQ(moves[2].to, "fp32");
}

TEST(Calibration, EmulatedOperationsGoUpToTheComputeFormat) {
  Policy policy = calibrating("bf16", {.every = 3, .loss_bound = 0.05});
  policy.emulation.activations = "int2";
  policy.emulation.exempt_ends = false;
  CalibratedRun run(policy);
  run.net->offset = 0;
  run.steps(3);
  const auto& moves = run.trainer->precision_switches();
  ASSERT_FALSE(moves.empty());
  for (const PrecisionSwitch& each : moves) {
    EXPECT_EQ(each.from, "int2");
    EXPECT_EQ(each.to, "bf16");
    EXPECT_TRUE(each.name.ends_with(".weight")) << each.name;
  }
  EXPECT_LT(run.trainer->last_calibration()->left.loss_gap(), 0.05);
  EXPECT_LT(moves.size(), 3u);
  // The ends, which are not emulated, are not among them.
  policy.emulation.exempt_ends = true;
  policy.calibrate->loss_bound = 1e-4;
  CalibratedRun ends(policy);
  ends.net->offset = 0;
  ends.steps(3);
  for (const PrecisionSwitch& each : ends.trainer->precision_switches()) {
    EXPECT_EQ(each.from, each.name == "hurt.weight" ? "int2" : "bf16") << each.name;
  }
}

TEST(Calibration, ResumesBitForBitAmidTheMoves) {
  for (const char* preset : {"bf16", "bf16-master"}) {
    Policy policy = calibrating(preset, {.every = 4, .loss_bound = 0.05, .patience = 2});
    for (int first : {3, 4, 9, 13}) {
      CalibratedRun whole(policy), start(policy), rest(policy);
      const auto train = [&](CalibratedRun& run, int from, int to) {
        for (int step = from; step < to; ++step) {
          run.net->offset = step < 6 ? 1000 : 0;  // comes down after step 12
          run.steps(1);
        }
      };
      train(whole, 0, 2 * first);
      train(start, 0, first);
      rest.trainer->load_state_dict(start.trainer->state_dict());
      rest.source->load_state_dict(start.source->state_dict());
      train(rest, first, 2 * first);
      EXPECT_EQ(rig::difference(rig::timeless(rest.trainer->state_dict()),
                                rig::timeless(whole.trainer->state_dict())),
                "")
          << preset << " " << first;
      EXPECT_EQ(whole.trainer->precision_switches().size(), 2 * first > 12 ? 2u : 1u) << first;
    }
  }
  CalibratedRun plain(Policy::preset("bf16")), calibrated(large_mean_policy());
  EXPECT_ERROR(plain.trainer->load_state_dict(calibrated.trainer->state_dict()), "calibrate");
}

TEST(Calibration, BesideDynamicEachSeesWhatTheOtherHasMoved) {
  Policy policy = calibrating("fp16-dynamic", {.every = 3, .loss_bound = 1e-7});
  policy.dynamic.overflows = 1;
  CalibratedRun run(policy);
  run.net->offset = 1e5;  // beyond fp16
  run.steps(3);
  std::map<std::string, int> moved;
  for (const PrecisionSwitch& each : run.trainer->precision_switches()) ++moved[each.name];
  EXPECT_EQ(moved, (std::map<std::string, int>{
                       {"first.weight", 1}, {"hurt.weight", 1}, {"last.weight", 1}}));
  EXPECT_EQ(run.trainer->precision_switches()[0].name, "hurt.weight");  // by its overflow
  EXPECT_EQ(run.trainer->last_calibration()->raised, 2);
  CalibratedRun again(policy);
  again.trainer->load_state_dict(run.trainer->state_dict());
  again.net->offset = 1e5;
  again.steps(3);
  EXPECT_EQ(again.trainer->skipped_steps(), run.trainer->skipped_steps());
  EXPECT_TRUE(again.trainer->precision_switches().empty());
}

struct CalibrationRecorder : rig::Recorder {
  void on_calibration(const CalibrationReport& report) override {
    told.push_back("calibration " + std::to_string(report.step));
  }
  void on_switch(const PrecisionSwitch& change) override { told.push_back(change.name); }
  std::vector<std::string> told;
};

TEST(Calibration, ARunTellsItsLogs) {
  Scratch scratch;
  TrainerOptions options = quiet_options();
  options.max_steps = 6;
  CalibratedRun run(large_mean_policy(), options);
  const auto recorder = std::make_shared<CalibrationRecorder>();
  std::ostringstream out;
  run.trainer->add_callback(recorder);
  run.trainer->add_callback(std::make_shared<JsonlLog>(scratch.path() / "metrics.jsonl"));
  run.trainer->add_callback(std::make_shared<TensorBoardLog>(scratch.path()));
  run.trainer->add_callback(std::make_shared<ProgressBar>(out));
  run.trainer->run();
  EXPECT_EQ(recorder->told, (std::vector<std::string>{"calibration 5", "hurt.weight"}));
  std::map<std::string, Json> lines;
  std::istringstream log(read_file(scratch.path() / "metrics.jsonl"));
  for (std::string line; std::getline(log, line);) {
    const Json json = Json::parse(line);
    lines[json.at("type").as_string()] = json;
  }
  EXPECT_EQ(lines.at("switch").at("name").as_string(), "hurt.weight");
  const Json& calibration = lines.at("calibration");
  EXPECT_EQ(calibration.at("step").as_int(), 5);
  EXPECT_EQ(calibration.at("raised").as_int(), 1);
  const FormatGap& found = run.trainer->last_calibration()->found;
  EXPECT_EQ(calibration.at("loss").as_double(), found.loss);
  EXPECT_EQ(calibration.at("reference_loss").as_double(), found.reference_loss);
  EXPECT_EQ(calibration.at("reference_accuracy").as_double(), found.reference_metric);
  EXPECT_LT(calibration.at("loss_gap_left").as_double(), 0.05);
  EXPECT_NE(out.str().find("step 5  hurt.weight bf16 -> fp32: the loss is "), std::string::npos)
      << out.str();
  std::string events;
  for (const auto& entry : std::filesystem::directory_iterator(scratch.path())) {
    events += read_file(entry.path());
  }
  for (const char* tag :
       {"precision/hurt.weight", "calibration/loss_gap", "calibration/metric_gap"}) {
    EXPECT_NE(events.find(tag), std::string::npos) << tag;
  }
}

}  // namespace
}  // namespace halftone
