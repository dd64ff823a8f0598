#include "halftone/tasks/lockstep_run.h"

#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>
#include <vector>

#include "halftone/base/text.h"
#include "halftone/tasks/precision_trial.h"
#include "halftone/train/evaluation.h"

namespace halftone::tasks {
namespace {

using numerics::LockstepReport;
using numerics::OperationDifference;

constexpr std::int64_t kLockstepSamples = 32;

std::string error_cell(double error) {
  if (error < 0) return "";
  if (error == 0) return "0";
  if (!std::isfinite(error)) return "not finite";
  char text[32];
  std::snprintf(text, sizeof text, "%.2g", error);
  return text;
}

std::string formats_cell(const OperationDifference& row) {
  return row.format_a == row.format_b ? row.format_a : row.format_a + ", " + row.format_b;
}

std::string mark(const LockstepReport& report, std::size_t place) {
  const LockstepReport::First first = report.first_too_large();
  if (first.place == static_cast<std::int64_t>(place)) {
    return first.gradient ? "<- first, gradient" : "<- first, output";
  }
  const OperationDifference& row = report.operations[place];
  return row.output_too_large() || row.gradient_too_large() ? "above" : "";
}

numerics::LockstepArm arm_of(const NetworkUnderPolicy& network,
                             const std::vector<data::Batch>& batches) {
  torch::nn::Module& module = *network.learner.module();
  return {module, network.policy, [&network, &batches, device = device_of(module)](std::size_t i) {
            return network.learner.loss(on_device(batches[i], device, network.policy.compute));
          }};
}

}  // namespace

LockstepReport run_lockstep(const NetworkUnderPolicy& a, const NetworkUnderPolicy& b,
                            const RunConfig& config, const TaskData& data, std::int64_t count) {
  RunConfig small = config;
  small.batch = std::min(config.batch, kLockstepSamples);
  const auto source = data.train(small, a.learner);
  std::vector<data::Batch> batches;
  for (std::int64_t i = 0; i < count; ++i) batches.push_back(next_batch(*source));
  for (const NetworkUnderPolicy* each : {&a, &b}) each->learner.module()->train();
  torch::manual_seed(config.seed);
  return numerics::lockstep(arm_of(a, batches), arm_of(b, batches), batches.size());
}

report::TextTable lockstep_table(const LockstepReport& report) {
  report::TextTable table(
      {"operation", "format", "output", "expected", "gradient", "expected", ""});
  for (std::size_t i = 0; i < report.operations.size(); ++i) {
    const OperationDifference& row = report.operations[i];
    table.add_row({row.name, formats_cell(row), error_cell(row.output),
                   error_cell(row.expected_output), error_cell(row.gradient),
                   row.gradient < 0 ? "" : error_cell(row.expected_gradient), mark(report, i)});
  }
  for (const auto& [policy, names] :
       {std::pair{&report.policy_a, &report.only_a}, {&report.policy_b, &report.only_b}}) {
    for (const std::string& name : *names) {
      table.add_row({name, "", "", "", "", "", *policy + " alone"});
    }
  }
  return table;
}

std::string lockstep_summary(const LockstepReport& report) {
  std::string text = report.policy_a + " and " + report.policy_b + " on the same weights and " +
                     std::to_string(report.batches) +
                     (report.batches == 1 ? " batch: " : " batches: ");
  const std::string headline = report.headline();
  text += headline.empty()
              ? "no operation differs by more than its format explains"
              : "the first that differs by more than its format explains is " + headline;
  const std::size_t alone = report.only_a.size() + report.only_b.size();
  if (alone > 0) {
    text += "; " + std::to_string(alone) + (alone == 1 ? " operation" : " operations") +
            " that one policy alone runs (fused blocks), at the table's end, not compared";
  }
  return text + ".";
}

void add_lockstep(const LockstepReport& report, report::HtmlPage& page) {
  page.add_heading("Operation by operation");
  page.add_summary(lockstep_summary(report));
  page.add_paragraph(
      "Relative differences of outputs and of the gradients that come back for them, norm over "
      "norm, in the order of execution. Expected: what the formats' roundings add up to up to "
      "there "
      "(of independent roundings the squares add; a ReLU's gradient errs by the root of its "
      "input's "
      "error, since signs turn). Marked is what is above " +
      format_number(OperationDifference::kAllowed) +
      " times that and above as many times what differed before it.");
  page.add_table(lockstep_table(report).rows());
}

}  // namespace halftone::tasks
