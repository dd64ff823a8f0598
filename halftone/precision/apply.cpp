#include "halftone/precision/apply.h"

#include <torch/csrc/autograd/variable.h>
#include <torch/nn/module.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/instancenorm.h>
#include <torch/nn/modules/normalization.h>

#include <algorithm>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "halftone/base/error.h"
#include "halftone/base/text.h"
#include "halftone/precision/emulated_layers.h"
#include "halftone/precision/parameter_names.h"
#include "halftone/precision/policy_check.h"
#include "halftone/precision/rounding.h"

namespace halftone {
namespace {

template <class... Modules>
bool is_one_of(const torch::nn::Module& module) {
  return (... || (dynamic_cast<const Modules*>(&module) != nullptr));
}

std::string_view without_suffix(std::string_view text, std::string_view suffix) {
  return text.ends_with(suffix) ? text.substr(0, text.size() - suffix.size()) : text;
}

// "my::RMSNorm", "FrozenBatchNorm2dImpl", and fused ones such as "halftone::nn::BatchNormAddReLU".
bool is_called_norm(std::string_view type) {
  type = without_suffix(type, "Impl");
  for (std::string_view fused : {"ReLU", "Add"}) type = without_suffix(type, fused);
  for (std::string_view dimension : {"1d", "2d", "3d"}) type = without_suffix(type, dimension);
  return type.ends_with("Norm");
}

void set_format(at::Tensor& tensor, Format first, Format stored) {
  if (!tensor.defined() || !tensor.is_floating_point()) return;
  if (tensor.scalar_type() != scalar_type(stored)) {
    tensor.set_data(rounded_to(rounded_to(tensor.detach(), first), stored));
    torch::autograd::impl::bump_version(tensor);
  }
  at::Tensor& gradient = tensor.mutable_grad();
  if (gradient.defined() && gradient.scalar_type() != tensor.scalar_type()) {
    gradient = gradient.detach().to(tensor.scalar_type());
  }
}

std::string join_name(const std::string& prefix, const std::string& name) {
  return prefix.empty() ? name : prefix + "." + name;
}

struct Walk {
  std::unordered_set<const c10::TensorImpl*> done;
  std::vector<at::Tensor> layers;
};

// The names of all modules and parameters, without the root's.
void collect_names(const torch::nn::Module& module, const std::string& prefix,
                   std::vector<std::string>& names) {
  for (const auto& item : module.named_parameters(/*recurse=*/false)) {
    names.push_back(join_name(prefix, item.key()));
  }
  for (const auto& child : module.named_children()) {
    const std::string name = join_name(prefix, child.key());
    names.push_back(name);
    collect_names(*child.value(), name, names);
  }
}

void check_module_rules(const Policy& policy, const torch::nn::Module& module) {
  if (policy.modules.empty()) return;
  std::vector<std::string> names;
  collect_names(module, "", names);
  for (const FormatRule& rule : policy.modules) {
    if (std::any_of(names.begin(), names.end(),
                    [&](const std::string& name) { return covers(rule.match, name); })) {
      continue;
    }
    const std::string nearest = nearest_name(rule.match, names);
    throw UsageError("modules.match = " + quote(rule.match) + ", which matches nothing",
                     "the name of a parameter or module of the network" +
                         (nearest.empty() ? "" : " (did you mean " + quote(nearest) + "?)"),
                     "policy " + quote(policy.name));
  }
}

// By named_children(), which, unlike named_modules(), takes a module that no shared_ptr holds.
void apply_to_tree(const Policy& policy, const torch::nn::Module& module, const std::string& prefix,
                   Walk& walk) {
  for (auto& item : module.named_parameters(/*recurse=*/false)) {
    at::Tensor& parameter = item.value();
    if (!parameter.defined() || !walk.done.insert(parameter.unsafeGetTensorImpl()).second) continue;
    if (is_layer_weight(module, item.key(), parameter)) walk.layers.push_back(parameter);
    const std::string name = join_name(prefix, item.key());
    set_format(parameter, policy.init, storage_format(policy, module, name));
  }
  for (auto& item : module.named_buffers(/*recurse=*/false)) {
    set_format(item.value(), Format::fp32, Format::fp32);
  }
  for (const auto& child : module.named_children()) {
    apply_to_tree(policy, *child.value(), join_name(prefix, child.key()), walk);
  }
}

}  // namespace

bool is_normalization(const torch::nn::Module& module) {
  using namespace torch::nn;
  return is_one_of<BatchNorm1dImpl, BatchNorm2dImpl, BatchNorm3dImpl, InstanceNorm1dImpl,
                   InstanceNorm2dImpl, InstanceNorm3dImpl, LayerNormImpl, GroupNormImpl>(module) ||
         is_called_norm(module.name());
}

Format storage_format(const Policy& policy, const torch::nn::Module& owner,
                      const std::string& name) {
  if (policy.weights == WeightStorage::fp32 || is_normalization(owner)) return Format::fp32;
  return policy.module_format(name).value_or(policy.compute);
}

void apply(const Policy& policy, torch::nn::Module& module, const std::string& prefix) {
  policy.check();
  if (prefix.empty()) check_module_rules(policy, module);
  register_parameter_names(module, prefix);
  const at::NoGradGuard no_grad;
  Walk walk;
  apply_to_tree(policy, module, prefix, walk);
  register_layers(walk.layers);
}

}  // namespace halftone
