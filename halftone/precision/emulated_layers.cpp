#include "halftone/precision/emulated_layers.h"

#include <torch/nn/module.h>
#include <torch/nn/modules/embedding.h>

#include <algorithm>
#include <string>

#include "halftone/base/error.h"
#include "halftone/ops/state_reader.h"
#include "halftone/precision/apply.h"
#include "halftone/precision/tensor_map.h"

namespace halftone {
namespace {

// Never destroyed: a thread may still look up while the process ends.
TensorMap<std::shared_ptr<EmulatedLayer>>& layers() {
  static auto* instance = new TensorMap<std::shared_ptr<EmulatedLayer>>;
  return *instance;
}

constexpr std::array<std::pair<Role, const char*>, kRoles> kRoleKeys{
    {{Role::weight, "weight"}, {Role::activation, "activation"}, {Role::gradient, "gradient"}}};

}  // namespace

double EmulatedLayer::delayed_amax(Role role, double amax, std::int64_t window, bool remember) {
  const std::lock_guard lock(mutex_);
  auto& amaxes = amaxes_[static_cast<std::size_t>(role)];
  const double largest = amaxes.empty() ? amax : *std::max_element(amaxes.begin(), amaxes.end());
  if (remember) {
    amaxes.push_back(amax);
    while (static_cast<std::int64_t>(amaxes.size()) > window) amaxes.pop_front();
  }
  return largest;
}

std::vector<double> EmulatedLayer::history(Role role) const {
  const std::lock_guard lock(mutex_);
  const auto& amaxes = amaxes_[static_cast<std::size_t>(role)];
  return {amaxes.begin(), amaxes.end()};
}

void EmulatedLayer::set_history(Role role, const std::vector<double>& amaxes) {
  const std::lock_guard lock(mutex_);
  amaxes_[static_cast<std::size_t>(role)].assign(amaxes.begin(), amaxes.end());
}

bool is_layer_weight(const torch::nn::Module& owner, const std::string& name,
                     const at::Tensor& parameter) {
  using namespace torch::nn;
  const bool embeds = dynamic_cast<const EmbeddingImpl*>(&owner) != nullptr ||
                      dynamic_cast<const EmbeddingBagImpl*>(&owner) != nullptr;
  return parameter.dim() >= 2 && (name.starts_with("weight") || name.ends_with("weight")) &&
         !embeds && !is_normalization(owner);
}

void register_layers(const std::vector<at::Tensor>& weights) {
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const bool is_end = i == 0 || i + 1 == weights.size();
    layers().set(weights[i], std::make_shared<EmulatedLayer>(is_end));
  }
}

std::shared_ptr<EmulatedLayer> layer_of(const at::Tensor& tensor) {
  return layers().find(tensor.is_view() ? at::Tensor(tensor._base()) : tensor);
}

StateDict save_layer_histories(const torch::nn::Module& module) {
  StateDict state = make_state_dict();
  for (const auto& item : module.named_parameters()) {
    const auto layer = item.value().defined() ? layer_of(item.value()) : nullptr;
    if (!layer) continue;
    StateDict roles = make_state_dict();
    for (const auto& [role, key] : kRoleKeys) roles.insert(key, layer->history(role));
    state.insert(item.key(), roles);
  }
  return state;
}

void load_layer_histories(const torch::nn::Module& module, const StateDict& state) {
  struct Loaded {
    std::shared_ptr<EmulatedLayer> layer;
    std::array<std::vector<double>, kRoles> amaxes;
  };
  std::vector<Loaded> loaded;
  StateReader reader(state, "emulation");
  for (const auto& item : module.named_parameters()) {
    const auto layer = item.value().defined() ? layer_of(item.value()) : nullptr;
    if (!layer) continue;
    Loaded& each = loaded.emplace_back(Loaded{layer, {}});
    const StateDict roles_state = reader.dict(item.key());
    StateReader roles(roles_state, "emulation." + item.key());
    for (const auto& [role, key] : kRoleKeys) {
      each.amaxes[static_cast<std::size_t>(role)] = roles.numbers(key);
    }
    roles.finish();
  }
  reader.finish();
  for (const Loaded& each : loaded) {
    for (const auto& [role, key] : kRoleKeys) {
      each.layer->set_history(role, each.amaxes[static_cast<std::size_t>(role)]);
    }
  }
}

}  // namespace halftone
