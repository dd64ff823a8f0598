#include "halftone/optim/lookahead.h"

#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "halftone/ops/state_reader.h"
#include "halftone/optim/check.h"
#include "halftone/precision/autocast.h"

namespace halftone::optim {

Lookahead::Lookahead(const torch::nn::Module& module, const LookaheadOptions& options,
                     MasterOf master)
    : options_(options), master_(std::move(master)) {
  check_at_least(options.every, 1, "Lookahead every");
  check_between(options.decay, 0, 1, "Lookahead decay");
  check_at_least(options.total_steps, 1, "Lookahead total_steps");
  if (!master_) master_ = [](const at::Tensor& parameter) { return parameter; };
  const torch::NoGradGuard no_grad;
  std::unordered_set<const void*> seen;  // a shared tensor is pulled once, under its first name
  const auto add = [&](const std::string& name, const at::Tensor& live) {
    if (!live.is_floating_point() || !seen.insert(live.unsafeGetTensorImpl()).second) return;
    const at::Tensor from = master_(live).detach();
    const auto format = from.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    entries_.push_back({name, live, from.to(format, /*non_blocking=*/false, /*copy=*/true)});
  };
  for (const auto& item : module.named_parameters()) add(item.key(), item.value());
  for (const auto& item : module.named_buffers()) add(item.key(), item.value());
}

void Lookahead::update() {
  if (++updates_ % options_.every != 0) return;
  const torch::NoGradGuard no_grad;
  const double done = static_cast<double>(updates_) / static_cast<double>(options_.total_steps);
  const double decay = options_.decay * std::pow(std::min(done, 1.0), 3);
  for (auto& entry : entries_) {
    const at::Tensor master = master_(entry.live);
    entry.slow.lerp_(master.detach().to(entry.slow.scalar_type()), 1 - decay);
    if (!master.is_same(entry.live)) master.detach().copy_(entry.slow);
    entry.live.detach().copy_(entry.slow);
  }
  clear_autocast_cache();
}

StateDict Lookahead::state_dict() const {
  auto slow = make_state_dict();
  for (const auto& entry : entries_) slow.insert(entry.name, entry.slow.clone());
  auto state = make_state_dict();
  state.insert("updates", updates_);
  state.insert("slow", slow);
  return state;
}

void Lookahead::load_state_dict(const StateDict& state) {
  StateReader reader(state, "lookahead");
  const auto updates = reader.integer("updates");
  const auto slow = reader.dict("slow");
  reader.finish();
  StateReader slow_reader(slow, "lookahead.slow");
  std::vector<at::Tensor> values;
  for (const auto& entry : entries_) values.push_back(slow_reader.tensor(entry.name, entry.slow));
  slow_reader.finish();
  const torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < entries_.size(); ++i) entries_[i].slow.copy_(values[i]);
  updates_ = updates;
}

}  // namespace halftone::optim
