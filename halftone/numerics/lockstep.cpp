#include "halftone/numerics/lockstep.h"

#include <ATen/ATen.h>
#include <torch/nn/module.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>

#include "halftone/base/error.h"
#include "halftone/numerics/expected_error.h"
#include "halftone/numerics/operation_recorder.h"
#include "halftone/numerics/tensor_range.h"
#include "halftone/numerics/trial_pass.h"
#include "halftone/ops/generator.h"

namespace halftone::numerics {
namespace {

// Squared norms over the batches.
struct Distance {
  double difference = 0, reference = 0;

  void add(const at::Tensor& a, const at::Tensor& b, double scale_a, double scale_b) {
    if (a.sizes() != b.sizes()) {
      difference = std::numeric_limits<double>::infinity();
      return;
    }
    const at::Tensor from = a.to(at::kDouble).div(scale_a);
    difference += squared_norm(b.to(at::kDouble).div(scale_b) - from);
    reference += squared_norm(from);
  }
  double relative() const {
    if (difference == 0) return 0;
    const double ratio = std::sqrt(difference / reference);
    return std::isnan(ratio) ? std::numeric_limits<double>::infinity() : ratio;
  }
};

// The operations of one batch under the arm's policy.
struct Recording {
  std::vector<RecordedOperation> operations;
  std::vector<ExpectedErrors> expected;
  bool finite = true;
};

Recording record(const LockstepArm& arm, std::size_t batch, double loss_scale,
                 const at::Tensor& generator) {
  const auto recorder = std::make_shared<OperationRecorder>(arm.module);
  const OperationWatch watch(recorder);
  const TrialPass pass = run_trial_pass(arm.module, {arm.policy, loss_scale, generator},
                                        [&] { return arm.loss(batch); });
  watch.rethrow();
  return {recorder->operations(), expected_errors(recorder->operations(), arm.policy), pass.finite};
}

// Halves the scale where gradients overflow; a network that is not finite at 1 is taken as it is.
Recording record_finite(const LockstepArm& arm, std::size_t batch, double& loss_scale,
                        const at::Tensor& generator) {
  while (true) {
    Recording recording = record(arm, batch, loss_scale, generator);
    if (recording.finite || loss_scale <= 1) return recording;
    loss_scale /= 2;
  }
}

// The backward pass runs from the end.
void set_allowed(std::vector<OperationDifference>& operations) {
  constexpr double kAllowed = OperationDifference::kAllowed;
  double before = 0;
  for (OperationDifference& each : operations) {
    each.allowed_output = kAllowed * std::max(each.expected_output, before);
    before = std::max(before, each.output);
  }
  before = 0;
  for (auto each = operations.rbegin(); each != operations.rend(); ++each) {
    each->allowed_gradient = kAllowed * std::max(each->expected_gradient, before);
    before = std::max(before, each->gradient);
  }
}

class Comparer {
 public:
  void add(const Recording& a, const Recording& b, double scale_a, double scale_b) {
    std::map<std::string, std::size_t> of_b;
    for (std::size_t i = 0; i < b.operations.size(); ++i) of_b.emplace(b.operations[i].name, i);
    for (std::size_t i = 0; i < a.operations.size(); ++i) {
      const RecordedOperation& one = a.operations[i];
      const auto other = of_b.find(one.name);
      if (other == of_b.end()) {
        note(only_a_, one.name);
        continue;
      }
      Row& row = row_of(one.name);
      const RecordedOperation& two = b.operations[other->second];
      row.formats = {type_name(one.output.scalar_type()), type_name(two.output.scalar_type())};
      row.output.add(one.output, two.output, 1, 1);
      if (one.gradient.defined() && two.gradient.defined()) {
        row.gradient.add(one.gradient, two.gradient, scale_a, scale_b);
        row.has_gradient = true;
      }
      const ExpectedErrors &of_one = a.expected[i], &of_two = b.expected[other->second];
      row.expected = {std::hypot(of_one.output, of_two.output),
                      std::hypot(of_one.gradient, of_two.gradient)};
      of_b.erase(other);
    }
    for (const RecordedOperation& each : b.operations) {
      if (of_b.contains(each.name)) note(only_b_, each.name);
    }
  }

  void finish(LockstepReport& report) const {
    for (const Row& row : rows_) {
      OperationDifference difference;
      difference.name = row.name;
      difference.format_a = row.formats.first;
      difference.format_b = row.formats.second;
      difference.output = row.output.relative();
      if (row.has_gradient) difference.gradient = row.gradient.relative();
      difference.expected_output = row.expected.output;
      difference.expected_gradient = row.expected.gradient;
      report.operations.push_back(std::move(difference));
    }
    set_allowed(report.operations);
    report.only_a = only_a_;
    report.only_b = only_b_;
  }

 private:
  struct Row {
    std::string name;
    std::pair<std::string, std::string> formats;
    Distance output, gradient;
    bool has_gradient = false;
    ExpectedErrors expected;
  };
  static void note(std::vector<std::string>& names, const std::string& name) {
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  Row& row_of(const std::string& name) {
    const auto [place, added] = places_.try_emplace(name, rows_.size());
    if (added)
      rows_.push_back({.name = name,
                       .formats = {},
                       .output = {},
                       .gradient = {},
                       .has_gradient = false,
                       .expected = {}});
    return rows_[place->second];
  }

  std::vector<Row> rows_;
  std::map<std::string, std::size_t> places_;
  std::vector<std::string> only_a_, only_b_;
};

double first_scale(const Policy& policy) {
  return policy.loss_scale.kind == LossScaling::none ? 1 : policy.loss_scale.init;
}

// JSON has no infinity.
Json number_or_null(double value) { return std::isfinite(value) ? Json(value) : Json(); }

}  // namespace

LockstepReport::First LockstepReport::first_too_large() const {
  const auto count = static_cast<std::int64_t>(operations.size());
  for (std::int64_t i = 0; i < count; ++i) {
    if (operations[static_cast<std::size_t>(i)].output_too_large()) return {i, false};
  }
  for (std::int64_t i = count; i-- > 0;) {
    if (operations[static_cast<std::size_t>(i)].gradient_too_large()) return {i, true};
  }
  return {};
}

std::string LockstepReport::headline() const {
  const First first = first_too_large();
  if (first.place < 0) return "";
  const OperationDifference& row = operations[static_cast<std::size_t>(first.place)];
  return row.name + (first.gradient ? ", gradient: " : ", output: ") +
         short_number(first.gradient ? row.gradient : row.output) + ", expected " +
         short_number(first.gradient ? row.expected_gradient : row.expected_output);
}

Json LockstepReport::to_json() const {
  Json json;
  json["policies"].push_back(policy_a);
  json["policies"].push_back(policy_b);
  json["loss_scales"].push_back(loss_scale_a);
  json["loss_scales"].push_back(loss_scale_b);
  json["batches"] = batches;
  json["operations"] = Json::array();
  for (const OperationDifference& each : operations) {
    Json row;
    row["name"] = each.name;
    row["formats"].push_back(each.format_a);
    row["formats"].push_back(each.format_b);
    row["output"] = number_or_null(each.output);
    row["expected_output"] = each.expected_output;
    row["gradient"] = each.gradient < 0 ? Json() : number_or_null(each.gradient);
    row["expected_gradient"] = each.expected_gradient;
    row["allowed_output"] = number_or_null(each.allowed_output);
    row["allowed_gradient"] = number_or_null(each.allowed_gradient);
    json["operations"].push_back(std::move(row));
  }
  const First first = first_too_large();
  json["first_too_large"] = Json();
  if (first.place >= 0) {
    json["first_too_large"] = Json::object();
    json["first_too_large"]["name"] = operations[static_cast<std::size_t>(first.place)].name;
    json["first_too_large"]["part"] = first.gradient ? "gradient" : "output";
  }
  for (const auto& [key, names] : {std::pair{"only_first", &only_a}, {"only_second", &only_b}}) {
    json[key] = Json::array();
    for (const std::string& name : *names) json[key].push_back(name);
  }
  return json;
}

LockstepReport lockstep(const LockstepArm& a, const LockstepArm& b, std::size_t batches) {
  for (const LockstepArm* arm : {&a, &b}) {
    if (trained_parameters(arm->module).empty()) {
      throw UsageError("a module without parameters", "one that trains", "lockstep");
    }
  }
  if (batches == 0) throw UsageError("0", "1 or more", "lockstep, batches");
  LockstepReport report;
  report.policy_a = a.policy.name;
  report.policy_b = b.policy.name;
  report.loss_scale_a = first_scale(a.policy);
  report.loss_scale_b = first_scale(b.policy);
  report.batches = static_cast<std::int64_t>(batches);
  const at::Tensor generator = generator_state();
  Comparer comparer;
  for (std::size_t i = 0; i < batches; ++i) {
    const Recording of_a = record_finite(a, i, report.loss_scale_a, generator);
    const Recording of_b = record_finite(b, i, report.loss_scale_b, generator);
    comparer.add(of_a, of_b, report.loss_scale_a, report.loss_scale_b);
  }
  comparer.finish(report);
  if (report.operations.empty()) {
    throw Error("no operation that both networks ran", "the same network twice", "lockstep");
  }
  return report;
}

}  // namespace halftone::numerics
