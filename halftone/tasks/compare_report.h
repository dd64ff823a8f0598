// A comparison for people (table, page, figures) and for programs (JSON).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "halftone/base/json.h"
#include "halftone/report/line_chart.h"
#include "halftone/report/text_table.h"
#include "halftone/tasks/comparison.h"

namespace halftone::tasks {

// One row per quantity: fp32, mixed, and how they relate.
report::TextTable compare_table(const Comparison& comparison);

// What it comes to, in a sentence or two; says so where the mixed arm is not faster, or where no
// step was timed.
std::string compare_summary(const Comparison& comparison);

// The task's metric over steps, loss over steps, step time over steps.
std::vector<report::LineChart> compare_charts(const Comparison& comparison);

// {"task", "metric", "higher_is_better", "arms": [{"name", "format", "step_ms_median",
// "step_ms_iqr", "samples_per_s", "peak_tensor_bytes", "peak_rss_bytes", "final_METRIC",
// "best_METRIC", "skipped_steps", "final_scale"}, …], "speedup", "memory_ratio"}: fp32 is the first
// arm; METRIC is the task's, for example accuracy; shares are of 1. speedup: fp32's median step
// time over the mixed arm's; memory_ratio: the mixed arm's peak of tensor bytes over fp32's. What
// was not measured (times where there were no more steps than the first, which are left out;
// memory) is null. "lockstep" is there where it was asked for (numerics::LockstepReport).
Json compare_json(const Comparison& comparison);

// report.html, report.json, loss.png, METRIC.png and step_time.png. Throws Error.
void write_compare_reports(const Comparison& comparison, const std::filesystem::path& out);

}  // namespace halftone::tasks
