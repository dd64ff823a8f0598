#include "halftone/tasks/inspect.h"

#include <cmath>

#include "halftone/base/file.h"
#include "halftone/tasks/run_config.h"
#include "tests/support/scratch.h"
#include "tests/support/test.h"

namespace halftone::tasks {
namespace {

using numerics::RangeReport;
using numerics::TensorKind;
using numerics::TensorStatistics;

// All elements of one magnitude, 2^exponent.
TensorStatistics of_magnitude(TensorKind kind, const std::string& name, int exponent) {
  TensorStatistics tensor;
  tensor.kind = kind;
  tensor.name = name;
  tensor.format = "fp16";
  tensor.count = 100;
  tensor.amax = tensor.rms = std::ldexp(1.0, exponent);
  tensor.exponents[static_cast<std::size_t>(exponent + 127)] = 100;
  return tensor;
}

// A run whose second layer's gradients sink below fp16 and whose third one's outputs near 65504.
void write_run(const std::filesystem::path& out, const Policy& policy = Policy::preset("fp16")) {
  RunConfig config;
  config.task = "fashion-mnist";
  config.model = "mlp";
  config.epochs = 1, config.batch = 32, config.lr = 0.1;
  config.policy = policy;
  config.save(out);
  std::string ranges, metrics;
  for (int step = 1; step <= 3; ++step) {
    RangeReport report{.step = step, .loss_scale = 1024, .tensors = {}};
    report.tensors = {of_magnitude(TensorKind::activation, "one.weight", 0),
                      of_magnitude(TensorKind::activation, "three.weight", 9 + 2 * step),
                      of_magnitude(TensorKind::activation_grad, "two.weight", -14 - 5 * step),
                      of_magnitude(TensorKind::update, "one.weight", -40)};
    ranges += report.to_json().dump() + "\n";
    metrics += R"({"type": "step", "step": )" + std::to_string(step) +
               R"(, "scale": 1024, "applied": )" + (step == 2 ? "false" : "true") + "}\n";
  }
  metrics += R"({"type": "fault", "step": 2, "symptom": "loss nan", "name": "fc · exp"})"
             "\n";
  write_file(out / "ranges.jsonl", ranges + "{\"torn");
  write_file(out / "metrics.jsonl", metrics);
}

TEST(Inspect, NamesWhatIsInDangerFirst) {
  Scratch scratch;
  write_run(scratch.path());
  const RunRanges ranges = load_ranges(scratch.path());
  EXPECT_EQ(ranges.samples.size(), 3u);
  EXPECT_EQ(ranges.formats.text(), "fp16");
  EXPECT_EQ(ranges.skipped.back(), 1.0);
  const auto rows = dangers(ranges.samples.back(), HeldFormats::all("fp16"));
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].danger, 0.0);
  EXPECT_NEAR(rows[1].headroom, 1.0, 1e-3);
  EXPECT_GT(rows[1].danger, 0.8);
  EXPECT_EQ(rows[2].fit.underflow, 1.0);
  EXPECT_EQ(rows[2].danger, 1.0);
  // What fp16 holds as subnormal numbers has lost bits, though none of it is zero.
  const auto early = dangers(ranges.samples.front(), HeldFormats::all("fp16"))[2];
  EXPECT_EQ(early.fit.underflow, 0.0);
  EXPECT_EQ(early.danger, 1.0);
  EXPECT_EQ(dangers(ranges.samples.back(), HeldFormats::all("bf16"))[2].danger, 0.0);

  const std::string text = inspect_text(ranges);
  EXPECT_NE(text.find("2 of 3 tensors are in danger in fp16; most of all two.weight"),
            std::string::npos)
      << text;
  EXPECT_LT(text.find("two.weight, activation_grad"), text.find("three.weight, activation"));
  EXPECT_NE(text.find("fault at step 2: loss nan; fc · exp"), std::string::npos) << text;
  EXPECT_EQ(inspect_text(ranges, 1).find("one.weight, activation"), std::string::npos);
}

TEST(Inspect, PageHasACellForEachLayerAndStep) {
  Scratch scratch;
  write_run(scratch.path());
  const std::string page = inspect_page(load_ranges(scratch.path()));
  for (const char* part :
       {"three.weight, step 3: amax 3.28e+04, headroom 1.0 bits",
        "two.weight, step 2:", "Loss scale", "Skipped steps", "E4M3", "int8", "Fault at step 2"})
    EXPECT_NE(page.find(part), std::string::npos) << part;
  EXPECT_EQ(page.find("<script"), std::string::npos);
}

// What a run emulates is what its tensors are judged by, and has its columns.
TEST(Inspect, EmulatedFormatsAreTheRunsOwn) {
  Scratch scratch;
  Policy policy = Policy::preset("fp8-sim");
  policy.emulation.weights = "int4";
  write_run(scratch.path(), policy);
  const RunRanges ranges = load_ranges(scratch.path());
  EXPECT_EQ(ranges.formats.activation, "E4M3");
  EXPECT_EQ(ranges.formats.activation_grad, "E5M2");
  EXPECT_EQ(ranges.formats.weight, "int4");
  EXPECT_EQ(ranges.formats.weight_grad, "fp16");
  EXPECT_EQ(ranges.formats.text(),
            "E4M3 (activation), int4 (weight), E5M2 (activation_grad) and fp16 (weight_grad)");
  ASSERT_EQ(ranges.columns.size(), numerics::kCandidateFormats.size() + 1);
  const auto& added = ranges.columns.back();
  EXPECT_EQ(added.name, "int4");
  EXPECT_EQ(added.max, 7);
  EXPECT_TRUE(added.integer);
  // Scaled to each tensor, nothing overflows or underflows.
  for (const auto& row : dangers(ranges.samples.back(), ranges.formats)) {
    EXPECT_TRUE(std::isinf(row.headroom)) << row.tensor->name;
    EXPECT_EQ(row.fit.underflow, 0) << row.tensor->name;
  }
  const std::string page = inspect_page(ranges), text = inspect_text(ranges);
  for (const char* part : {"int4", "held in"}) {
    EXPECT_NE(page.find(part), std::string::npos) << part;
    EXPECT_NE(text.find(part), std::string::npos) << part;
  }
  const RunRanges asked = load_ranges(scratch.path(), "e3m4");
  EXPECT_EQ(asked.formats.text(), "e3m4");
  EXPECT_EQ(asked.columns.back().name, "e3m4");
  EXPECT_EQ(asked.columns.back().max, 15.5);
  EXPECT_EQ(asked.columns.back().min_exponent, -2);
  EXPECT_EQ(load_ranges(scratch.path(), "e4m3fn").formats.text(), "E4M3");
}

TEST(Inspect, RunsThatCannotBeShownAreErrors) {
  Scratch scratch;
  EXPECT_ERROR(load_ranges(scratch.path()), "no config.toml");
  write_run(scratch.path());
  EXPECT_ERROR(load_ranges(scratch.path(), "fp61"), "did you mean \"fp16\"");
  std::filesystem::remove(scratch / "ranges.jsonl");
  EXPECT_ERROR(load_ranges(scratch.path()), "--monitor-every");
}

}  // namespace
}  // namespace halftone::tasks
