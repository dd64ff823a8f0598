#include "halftone/train/weights.h"

#include <ATen/core/grad_mode.h>
#include <torch/nn/module.h>

#include <fstream>
#include <map>
#include <sstream>

#include "halftone/base/error.h"
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

void load_weights(torch::nn::Module& module, const std::filesystem::path& path) {
  if (!is_archive(path)) return set_weights(module, read_safetensors(path).tensors, path.string());
  const StateDict state = read_checkpoint(path);
  NamedTensors weights;
  const auto model = state.find("model");
  if (model == state.end() || !model->value().isGenericDict())
    throw Error("no \"model\"", "a checkpoint of a trainer", path.string());
  for (const auto& entry : model->value().toGenericDict())
    if (entry.value().isTensor())
      weights.emplace_back(entry.key().toStringRef(), entry.value().toTensor());
  set_weights(module, weights, path.string());
}

}  // namespace halftone
