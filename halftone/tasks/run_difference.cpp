#include "halftone/tasks/run_difference.h"

#include <ATen/ATen.h>
#include <torch/nn/module.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "halftone/base/error.h"
#include "halftone/base/text.h"
#include "halftone/base/toml.h"
#include "halftone/numerics/range_report.h"
#include "halftone/tasks/json_lines.h"
#include "halftone/tasks/lockstep_run.h"
#include "halftone/tasks/saved_run.h"

namespace halftone::tasks {
namespace {

// Leaves by their paths.
void flatten(const toml::Value& value, std::map<std::string, std::string>& leaves) {
  if (!value.is_table()) {
    leaves[value.path()] = toml::write_inline(value);
    return;
  }
  for (const auto& [key, each] : value.as_table()) flatten(each, leaves);
}

std::map<std::string, std::string> leaves_of(const RunConfig& config) {
  std::map<std::string, std::string> leaves;
  flatten(toml::parse(config.to_toml(), "config.toml"), leaves);
  return leaves;
}

std::vector<SettingDifference> differing_settings(const RunConfig& a, const RunConfig& b) {
  const auto of_a = leaves_of(a);
  auto of_b = leaves_of(b);
  std::vector<SettingDifference> result;
  for (const auto& [key, value] : of_a) {
    const std::string other = of_b.contains(key) ? of_b[key] : "";
    if (other != value) result.push_back({key, value, other});
    of_b.erase(key);
  }
  for (const auto& [key, value] : of_b) result.push_back({key, "", value});
  return result;
}

RunHistory read_run_history(const std::filesystem::path& run) {
  RunHistory history;
  for_each_line(run / "metrics.jsonl", [&](const Json& line) {
    if (line.at("type").as_string() != "step") return;
    history.losses.push_back(line.at("loss").is_null() ? NAN : line.at("loss").as_double());
    history.skipped += !line.at("applied").as_bool();
    history.scale = line.at("scale").as_double();
  });
  return history;
}

std::int64_t first_difference(const std::vector<double>& a, const std::vector<double>& b) {
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (a[i] != b[i]) return static_cast<std::int64_t>(i) + 1;
  }
  return 0;
}

std::map<std::int64_t, numerics::RangeReport> read_ranges(const std::filesystem::path& run) {
  std::map<std::int64_t, numerics::RangeReport> samples;
  for_each_line(run / "ranges.jsonl", [&](const Json& line) {
    auto report = numerics::RangeReport::from_json(line);
    samples[report.step] = std::move(report);
  });
  return samples;
}

double log2_ratio(const RangeDifference& each) {
  if (each.amax_a == each.amax_b) return 0;
  return std::abs(std::log2(each.amax_a) - std::log2(each.amax_b));  // infinite where one is zero
}

// Gradients as they are unscaled: runs may have other loss scales.
double true_amax(const numerics::TensorStatistics& tensor, double loss_scale) {
  const bool scaled = tensor.kind == numerics::TensorKind::activation_grad ||
                      tensor.kind == numerics::TensorKind::weight_grad;
  return tensor.amax / (scaled ? loss_scale : 1);
}

void compare_ranges(RunDifference& difference) {
  const auto of_a = read_ranges(difference.a), of_b = read_ranges(difference.b);
  for (auto each = of_a.rbegin(); each != of_a.rend() && difference.range_step == 0; ++each) {
    if (of_b.contains(each->first)) difference.range_step = each->first;
  }
  if (difference.range_step == 0) return;
  const auto& a = of_a.at(difference.range_step);
  const auto& b = of_b.at(difference.range_step);
  std::map<std::string, double> amax_b;
  for (const auto& tensor : b.tensors) {
    amax_b[std::string(tensor_kind_name(tensor.kind)) + " " + tensor.name] =
        true_amax(tensor, b.loss_scale);
  }
  for (const auto& tensor : a.tensors) {
    const std::string kind = tensor_kind_name(tensor.kind);
    const auto other = amax_b.find(kind + " " + tensor.name);
    if (other == amax_b.end()) continue;
    const double amax = true_amax(tensor, a.loss_scale);
    if (amax != other->second) {
      difference.ranges.push_back({kind, tensor.name, amax, other->second});
    }
  }
  std::stable_sort(difference.ranges.begin(), difference.ranges.end(),
                   [](const RangeDifference& one, const RangeDifference& two) {
                     return log2_ratio(one) > log2_ratio(two);
                   });
}

std::vector<WeightDifference> compare_weights(const torch::nn::Module& a,
                                              const torch::nn::Module& b) {
  std::vector<WeightDifference> result;
  const auto of_b = b.named_parameters();
  for (const auto& item : a.named_parameters()) {
    const at::Tensor* other = of_b.find(item.key());
    if (!other || !item.value().defined()) continue;
    const at::Tensor one = item.value().detach().to(at::kDouble);
    const double norm = one.norm().item<double>();
    const double apart = (other->detach().to(at::kDouble) - one).norm().item<double>();
    result.push_back({item.key(), apart == 0 ? 0 : apart / norm});
  }
  return result;
}

}  // namespace

RunConfig require_same_network(const std::filesystem::path& a, const std::filesystem::path& b) {
  RunConfig one = RunConfig::load(a);
  const RunConfig two = RunConfig::load(b);
  if (one.task != two.task || one.model != two.model) {
    throw UsageError(one.model + " on " + one.task + " and " + two.model + " on " + two.task,
                     "two runs of the same task and model", "diff");
  }
  return one;
}

RunDifference diff_runs(const std::filesystem::path& a, const std::filesystem::path& b,
                        const TaskData& data, std::int64_t batches) {
  const RunConfig config_a = require_same_network(a, b);
  const RunConfig config_b = RunConfig::load(b);
  RunDifference difference;
  difference.a = a;
  difference.b = b;
  difference.settings = differing_settings(config_a, config_b);
  difference.history_a = read_run_history(a);
  difference.history_b = read_run_history(b);
  difference.first_other_loss =
      first_difference(difference.history_a.losses, difference.history_b.losses);
  compare_ranges(difference);
  const Policy fp32 = Policy::preset("fp32");
  difference.weights =
      compare_weights(*load_network(a, fp32, a)->module(), *load_network(a, fp32, b)->module());
  const auto under_a = load_network(a, config_a.policy, a);
  const auto under_b = load_network(a, config_b.policy, a);
  difference.operations = run_lockstep({*under_a, config_a.policy}, {*under_b, config_b.policy},
                                       config_a, data, batches);
  return difference;
}

}  // namespace halftone::tasks
