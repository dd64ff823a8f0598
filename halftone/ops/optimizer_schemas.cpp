// The optimizer's passes as LibTorch operations, for Python and for graphs. Lists run parallel to
// `weights`; masters, compensations and state that a case does not use are empty lists. steps count
// from 1 (SGD: 1 means no momentum buffer yet). storage: "master", "stochastic" or "kahan", of half
// weights; fp32 and fp64 ones are updated in place and their entries in masters and compensations
// are not looked at. first_index: the index of weights[0] among the parameters, for the draws.
#include <torch/library.h>

#include "halftone/base/error.h"
#include "halftone/kernels/optimizer/rounding.h"
#include "halftone/ops/optimizer_ops.h"

namespace halftone::ops {
namespace {

using kernels::UpdateRule;
using kernels::WeightKind;

struct Lists {
  at::TensorList weights, gradients, masters, compensations;
  std::vector<at::TensorList> state;
  at::IntArrayRef steps;
};

struct Storage {
  c10::string_view name;
  std::int64_t seed, first_index;
};

WeightKind weight_kind(const at::Tensor& weight, c10::string_view storage) {
  const auto type = weight.scalar_type();
  if (type != at::kHalf && type != at::kBFloat16) return WeightKind::plain;
  if (storage == "master") return WeightKind::master;
  if (storage == "stochastic") return WeightKind::stochastic;
  if (storage == "kahan") return WeightKind::kahan;
  throw UsageError("\"" + std::string(storage) + "\"", "\"master\", \"stochastic\" or \"kahan\"",
                   "storage");
}

void require_parallel(const char* name, std::size_t given, std::size_t expected,
                      bool may_be_empty) {
  if (given == expected || (may_be_empty && given == 0)) return;
  throw UsageError(std::to_string(given) + " entries", std::to_string(expected), name);
}

std::vector<ParameterUpdate> updates(const Lists& lists, UpdateRule rule, const Storage& storage,
                                     double gradient_scale, std::optional<double> clip_value) {
  const std::size_t count = lists.weights.size();
  require_parallel("gradients", lists.gradients.size(), count, false);
  require_parallel("steps", lists.steps.size(), count, false);
  require_parallel("masters", lists.masters.size(), count, true);
  require_parallel("compensations", lists.compensations.size(), count, true);
  for (const auto& each : lists.state) require_parallel("state", each.size(), count, true);
  std::vector<ParameterUpdate> result(count);
  for (std::size_t i = 0; i < count; ++i) {
    ParameterUpdate& u = result[i];
    u.rule = rule;
    u.weight = lists.weights[i];
    u.kind = weight_kind(u.weight, storage.name);
    u.gradient = lists.gradients[i];
    if (u.kind == WeightKind::master && !lists.masters.empty()) u.master = lists.masters[i];
    if (u.kind == WeightKind::kahan && !lists.compensations.empty()) {
      u.compensation = lists.compensations[i];
    }
    for (std::size_t k = 0; k < lists.state.size(); ++k) {
      if (!lists.state[k].empty()) u.state[k] = lists.state[k][i];
    }
    u.key = kernels::draw_key(static_cast<std::uint64_t>(storage.seed),
                              static_cast<std::uint64_t>(storage.first_index) + i,
                              static_cast<std::uint64_t>(lists.steps[i]));
    u.numbers.gradient_scale = gradient_scale;
    if (clip_value) u.numbers.clip_value = *clip_value;
  }
  return result;
}

// Replaces all numbers but the gradient's scale and clipping.
void set_numbers(ParameterUpdate& update, Numbers numbers) {
  numbers.gradient_scale = update.numbers.gradient_scale;
  numbers.clip_value = update.numbers.clip_value;
  update.numbers = numbers;
}

std::tuple<double, std::int64_t> gradient_check(at::TensorList gradients) {
  const auto reading = read_gradients(gradients.vec());
  return {reading.norm, reading.first_non_finite};
}

void sgd_update_(at::TensorList weights, at::TensorList gradients, at::TensorList momentum_buffers,
                 at::TensorList masters, at::TensorList compensations, at::IntArrayRef steps,
                 double lr, double momentum, double dampening, double weight_decay, bool nesterov,
                 double gradient_scale, std::optional<double> clip_value, c10::string_view storage,
                 std::int64_t seed, std::int64_t first_index) {
  auto list = updates({weights, gradients, masters, compensations, {momentum_buffers}, steps},
                      UpdateRule::sgd, {storage, seed, first_index}, gradient_scale, clip_value);
  for (std::size_t i = 0; i < list.size(); ++i) {
    set_numbers(list[i],
                sgd_numbers(lr, momentum, dampening, weight_decay, nesterov, steps[i] == 1));
  }
  update_parameters(list);
}

void adam_update_(at::TensorList weights, at::TensorList gradients, at::TensorList exp_avgs,
                  at::TensorList exp_avg_sqs, at::TensorList max_exp_avg_sqs,
                  at::TensorList masters, at::TensorList compensations, at::IntArrayRef steps,
                  double lr, double beta1, double beta2, double eps, double weight_decay,
                  bool decoupled, double gradient_scale, std::optional<double> clip_value,
                  c10::string_view storage, std::int64_t seed, std::int64_t first_index) {
  auto list = updates(
      {weights, gradients, masters, compensations, {exp_avgs, exp_avg_sqs, max_exp_avg_sqs}, steps},
      UpdateRule::adam, {storage, seed, first_index}, gradient_scale, clip_value);
  for (std::size_t i = 0; i < list.size(); ++i) {
    set_numbers(list[i], adam_numbers(lr, beta1, beta2, eps, weight_decay, decoupled, steps[i]));
  }
  update_parameters(list);
}

void lamb_update_(at::TensorList weights, at::TensorList gradients, at::TensorList exp_avgs,
                  at::TensorList exp_avg_sqs, at::TensorList masters, at::TensorList compensations,
                  at::IntArrayRef steps, double lr, double beta1, double beta2, double eps,
                  double weight_decay, bool adapt, double gradient_scale,
                  std::optional<double> clip_value, c10::string_view storage, std::int64_t seed,
                  std::int64_t first_index) {
  auto list =
      updates({weights, gradients, masters, compensations, {exp_avgs, exp_avg_sqs}, steps},
              UpdateRule::lamb_direction, {storage, seed, first_index}, gradient_scale, clip_value);
  for (std::size_t i = 0; i < list.size(); ++i) {
    set_numbers(list[i], lamb_numbers(lr, beta1, beta2, eps, weight_decay, steps[i]));
  }
  lamb_update(list, std::vector<bool>(list.size(), adapt));
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(halftone, m) {
  const auto define = [&m](const char* schema, auto* function) {
    m.def(schema, torch::dispatch(c10::DispatchKey::CompositeExplicitAutograd, function));
  };
  define("gradient_check(Tensor[] gradients) -> (float norm, int first_non_finite)",
         gradient_check);
  define(
      "sgd_update_(Tensor(a!)[] weights, Tensor[] gradients, Tensor(b!)[] momentum_buffers, "
      "Tensor(c!)[] masters, Tensor(d!)[] compensations, int[] steps, *, float lr, "
      "float momentum=0, float dampening=0, float weight_decay=0, bool nesterov=False, "
      "float gradient_scale=1, float? clip_value=None, str storage=\"master\", int seed=0, "
      "int first_index=0) -> ()",
      sgd_update_);
  define(
      "adam_update_(Tensor(a!)[] weights, Tensor[] gradients, Tensor(b!)[] exp_avgs, "
      "Tensor(c!)[] exp_avg_sqs, Tensor(d!)[] max_exp_avg_sqs, Tensor(e!)[] masters, "
      "Tensor(f!)[] compensations, int[] steps, *, float lr, float beta1=0.9, float beta2=0.999, "
      "float eps=1e-08, float weight_decay=0, bool decoupled=True, float gradient_scale=1, "
      "float? clip_value=None, str storage=\"master\", int seed=0, int first_index=0) -> ()",
      adam_update_);
  define(
      "lamb_update_(Tensor(a!)[] weights, Tensor[] gradients, Tensor(b!)[] exp_avgs, "
      "Tensor(c!)[] exp_avg_sqs, Tensor(d!)[] masters, Tensor(e!)[] compensations, int[] steps, "
      "*, float lr, float beta1=0.9, float beta2=0.999, float eps=1e-06, float weight_decay=0.01, "
      "bool adapt=True, float gradient_scale=1, float? clip_value=None, str storage=\"master\", "
      "int seed=0, int first_index=0) -> ()",
      lamb_update_);
}

}  // namespace halftone::ops
