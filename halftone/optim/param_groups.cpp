#include "halftone/optim/param_groups.h"

#include <unordered_set>

#include "halftone/precision/apply.h"

namespace halftone::optim {

namespace {

// visit(module, name within it, parameter) for each trainable parameter once, in the module's
// order.
template <class Visit>
void visit_trainable(const torch::nn::Module& module, Visit visit) {
  std::unordered_set<const void*> seen;
  for (const auto& each : module.modules(/*include_self=*/true)) {
    for (const auto& item : each->named_parameters(/*recurse=*/false)) {
      const at::Tensor& parameter = item.value();
      if (!parameter.defined() || !parameter.requires_grad()) continue;
      if (seen.insert(parameter.unsafeGetTensorImpl()).second) visit(*each, item.key(), parameter);
    }
  }
}

}  // namespace

DecaySplit split_by_decay(const torch::nn::Module& module) {
  DecaySplit split;
  visit_trainable(module, [&](const auto& owner, const std::string&, const at::Tensor& parameter) {
    const bool plain = is_normalization(owner) || parameter.dim() < 2;
    (plain ? split.plain : split.decayed).push_back(parameter);
  });
  return split;
}

NormBiasSplit split_by_norm_bias(const torch::nn::Module& module) {
  NormBiasSplit split;
  visit_trainable(module,
                  [&](const auto& owner, const std::string& name, const at::Tensor& parameter) {
                    const bool norm_bias = is_normalization(owner) && name == "bias";
                    (norm_bias ? split.norm_biases : split.others).push_back(parameter);
                  });
  return split;
}

}  // namespace halftone::optim
