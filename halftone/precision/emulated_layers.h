// What emulation knows of the weights of a network: their place in it and the magnitudes that were
// seen at their operations.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "halftone/ops/state_dict.h"

namespace torch::nn {
class Module;
}

namespace halftone {

// What an operation with a weight reads and what flows back into it.
enum class Role { weight, activation, gradient };
constexpr std::size_t kRoles = 3;

// One per weight. Thread-safe.
class EmulatedLayer {
 public:
  explicit EmulatedLayer(bool is_end) : is_end_(is_end) {}

  // The first or the last of its network.
  bool is_end() const { return is_end_; }

  // The largest of the last `window` magnitudes of this role, or `amax` itself where there is none
  // yet; `remember` then adds amax to them.
  double delayed_amax(Role role, double amax, std::int64_t window, bool remember);

  std::vector<double> history(Role role) const;
  void set_history(Role role, const std::vector<double>& amaxes);

 private:
  bool is_end_;
  mutable std::mutex mutex_;
  std::array<std::deque<double>, kRoles> amaxes_;
};

// True for the weights that EmulationPolicy (policy.h) counts. owner: the module that holds it.
bool is_layer_weight(const torch::nn::Module& owner, const std::string& name,
                     const at::Tensor& parameter);

// The weights of a network in its order. Those that were known start anew. Thread-safe.
void register_layers(const std::vector<at::Tensor>& weights);

// Of the weight that `tensor` is or is a view of; null where it is none. Thread-safe.
std::shared_ptr<EmulatedLayer> layer_of(const at::Tensor& tensor);

// The magnitudes of a network's layers by the weights' names, for checkpoints. load throws Error
// for a weight that is no layer of the network.
StateDict save_layer_histories(const torch::nn::Module& module);
void load_layer_histories(const torch::nn::Module& module, const StateDict& state);

}  // namespace halftone
