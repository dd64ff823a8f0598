#include "halftone/optim/ema.h"

#include <torch/utils.h>

#include <cmath>
#include <unordered_set>

#include "halftone/base/error.h"
#include "halftone/ops/state_reader.h"
#include "halftone/optim/check.h"
#include "halftone/precision/autocast.h"

namespace halftone::optim {
namespace {

at::Tensor full_precision_copy(const at::Tensor& tensor) {
  const auto format = tensor.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  return tensor.detach().to(format, /*non_blocking=*/false, /*copy=*/true);
}

// decay_t such that the recursion gives sum(decay^(t-i) x_i) / sum(decay^(t-i)) over i = 1..t.
double corrected_decay(double decay, std::int64_t t) {
  const auto n = static_cast<double>(t);
  return decay * (1 - std::pow(decay, n - 1)) / (1 - std::pow(decay, n));
}

}  // namespace

Ema::Ema(const torch::nn::Module& module, const EmaOptions& options, MasterOf master)
    : options_(options), master_(std::move(master)) {
  check_between(options.decay, 0, 1, "Ema decay");
  if (options.decay == 1) throw Error("1", "a number below 1", "Ema decay");
  if (!master_) master_ = [](const at::Tensor& parameter) { return parameter; };
  torch::NoGradGuard no_grad;
  std::unordered_set<const void*> seen;  // a shared tensor is averaged once, under its first name
  for (const auto& item : module.named_parameters()) {
    if (!seen.insert(item.value().unsafeGetTensorImpl()).second) continue;
    entries_.push_back(
        {item.key(), item.value(), full_precision_copy(master_(item.value())), true});
  }
  for (const auto& item : module.named_buffers()) {
    if (!seen.insert(item.value().unsafeGetTensorImpl()).second) continue;
    entries_.push_back({item.key(), item.value(), item.value().detach().clone(), false});
  }
}

void Ema::update() {
  if (swapped_) throw Error("update() while the averages are swapped in", "after the swap", "Ema");
  torch::NoGradGuard no_grad;
  ++updates_;
  const double decay =
      options_.warm_up ? corrected_decay(options_.decay, updates_) : options_.decay;
  for (auto& entry : entries_) {
    if (entry.averaged) {
      entry.kept.lerp_(master_(entry.live).detach().to(entry.kept.scalar_type()), 1 - decay);
    } else {
      entry.kept.copy_(entry.live);
    }
  }
}

Ema::Swap::Swap(Ema& ema) : ema_(ema) {
  if (ema_.swapped_) throw Error("a second swap_in()", "one at a time", "Ema");
  torch::NoGradGuard no_grad;
  before_.reserve(ema_.entries_.size());
  for (const auto& entry : ema_.entries_) before_.push_back(entry.live.detach().clone());
  for (auto& entry : ema_.entries_) entry.live.copy_(entry.kept);
  ema_.swapped_ = true;
  clear_autocast_cache();
}

Ema::Swap::~Swap() {
  torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < before_.size(); ++i) ema_.entries_[i].live.copy_(before_[i]);
  ema_.swapped_ = false;
  clear_autocast_cache();
}

Ema::Swap Ema::swap_in() { return Swap(*this); }

std::vector<std::pair<std::string, at::Tensor>> Ema::averages() const {
  std::vector<std::pair<std::string, at::Tensor>> result;
  for (const auto& entry : entries_) result.emplace_back(entry.name, entry.kept.clone());
  return result;
}

StateDict Ema::state_dict() const {
  auto averages = make_state_dict(), buffers = make_state_dict();
  for (const auto& entry : entries_) {
    (entry.averaged ? averages : buffers).insert(entry.name, entry.kept.clone());
  }
  auto state = make_state_dict();
  state.insert("updates", updates_);
  state.insert("averages", averages);
  state.insert("buffers", buffers);
  return state;
}

void Ema::load_state_dict(const StateDict& state) {
  StateReader reader(state, "ema");
  const auto updates = reader.integer("updates");
  const auto averages = reader.dict("averages"), buffers = reader.dict("buffers");
  reader.finish();
  StateReader average_reader(averages, "ema.averages"), buffer_reader(buffers, "ema.buffers");
  std::vector<at::Tensor> values;
  for (const auto& entry : entries_) {
    auto& source = entry.averaged ? average_reader : buffer_reader;
    values.push_back(source.tensor(entry.name, entry.kept));
  }
  average_reader.finish();
  buffer_reader.finish();
  torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < entries_.size(); ++i) entries_[i].kept.copy_(values[i]);
  updates_ = updates;
}

}  // namespace halftone::optim
