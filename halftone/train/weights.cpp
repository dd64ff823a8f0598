#include "halftone/train/weights.h"

#include <ATen/core/grad_mode.h>
#include <torch/nn/module.h>

#include <fstream>
#include <map>
#include <sstream>

#include "halftone/base/error.h"
#include "halftone/precision/autocast.h"
#include "halftone/train/checkpoint.h"

namespace halftone {
namespace {

std::string shape_text(const at::Tensor& tensor) {
  std::ostringstream out;
  out << tensor.sizes();
  return out.str();
}

// Throws with the first three names and shapes that differ, in the module's order.
void check_same(const NamedTensors& module, const std::map<std::string, at::Tensor>& given,
                const std::string& where) {
  constexpr int kNamed = 3;
  int differing = 0;
  std::string text;
  const auto add = [&](const std::string& line) {
    if (++differing <= kNamed) text += (text.empty() ? "" : ", ") + line;
  };
  std::map<std::string, at::Tensor> left = given;
  for (const auto& [name, tensor] : module) {
    const auto found = given.find(name);
    left.erase(name);
    if (found == given.end())
      add(name + " missing (the model's is " + shape_text(tensor) + ")");
    else if (found->second.sizes() != tensor.sizes())
      add(name + " " + shape_text(found->second) + " (the model's is " + shape_text(tensor) + ")");
  }
  for (const auto& [name, tensor] : left)
    add(name + " " + shape_text(tensor) + " (the model has none)");
  if (differing > kNamed) text += " and " + std::to_string(differing - kNamed) + " more";
  if (differing)
    throw Error("another model's weights: " + text, "the names and shapes of this model", where);
}

NamedTensors tensors_of(const c10::IValue& dict) {
  NamedTensors result;
  for (const auto& entry : dict.toGenericDict())
    result.emplace_back(entry.key().toStringRef(), entry.value().toTensor());
  return result;
}

bool is_archive(const std::filesystem::path& path) {
  char start[2] = {};
  std::ifstream(path, std::ios::binary).read(start, 2);
  return start[0] == 'P' && start[1] == 'K';
}

}  // namespace

NamedTensors named_weights(const torch::nn::Module& module) {
  NamedTensors result;
  for (const auto& item : module.named_parameters())
    if (item.value().defined()) result.emplace_back(item.key(), item.value().detach());
  for (const auto& item : module.named_buffers())
    if (item.value().defined()) result.emplace_back(item.key(), item.value().detach());
  return result;
}

void set_weights(torch::nn::Module& module, const NamedTensors& weights, const std::string& where) {
  const std::map<std::string, at::Tensor> given(weights.begin(), weights.end());
  const NamedTensors own = named_weights(module);
  check_same(own, given, where);
  const at::NoGradGuard no_grad;
  // Detached tensors share the version counter: a forward that is still to be differentiated
  // notices.
  for (const auto& [name, tensor] : own) at::Tensor(tensor).copy_(given.at(name));
}

WeightsReplaced::WeightsReplaced(torch::nn::Module& module, const NamedTensors& weights,
                                 c10::ScalarType format) {
  const at::NoGradGuard no_grad;
  const std::map<std::string, at::Tensor> given(weights.begin(), weights.end());
  const auto replace = [&](const std::string& name, const at::Tensor& tensor) {
    const auto found = given.find(name);
    if (!tensor.defined() || found == given.end()) return;
    at::Tensor value = found->second.to(tensor.device());
    if (value.is_floating_point()) value = value.to(format);
    before_.emplace_back(tensor, tensor.variable_data());
    tensor.set_data(value);
  };
  for (const auto& item : module.named_parameters()) replace(item.key(), item.value());
  for (const auto& item : module.named_buffers()) replace(item.key(), item.value());
  clear_autocast_cache();
}

WeightsReplaced::~WeightsReplaced() {
  for (const auto& [tensor, value] : before_) tensor.set_data(value);
  clear_autocast_cache();
}

void load_weights(torch::nn::Module& module, const std::filesystem::path& path) {
  if (!is_archive(path)) return set_weights(module, read_safetensors(path).tensors, path.string());
  const StateDict state = read_checkpoint(path);
  if (!state.contains("model"))
    throw Error("no \"model\"", "a checkpoint of a trainer", path.string());
  NamedTensors weights = tensors_of(state.at("model"));
  if (state.contains("ema")) {
    const auto ema = state.at("ema").toGenericDict();
    weights = tensors_of(ema.at("averages"));
    for (auto& buffer : tensors_of(ema.at("buffers"))) weights.push_back(std::move(buffer));
  }
  set_weights(module, weights, path.string());
}

}  // namespace halftone
