#include "halftone/optim/param_groups.h"

#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/instancenorm.h>
#include <torch/nn/modules/normalization.h>

#include <unordered_set>

namespace halftone::optim {
namespace {

template <class... Layers>
bool is_any(const torch::nn::Module& module) {
  return (... || (dynamic_cast<const Layers*>(&module) != nullptr));
}

bool is_normalisation(const torch::nn::Module& module) {
  using namespace torch::nn;
  return is_any<BatchNorm1dImpl, BatchNorm2dImpl, BatchNorm3dImpl, InstanceNorm1dImpl,
                InstanceNorm2dImpl, InstanceNorm3dImpl, GroupNormImpl, LayerNormImpl,
                LocalResponseNormImpl>(module);
}

}  // namespace

DecaySplit split_by_decay(const torch::nn::Module& module) {
  DecaySplit split;
  std::unordered_set<const void*> seen;
  for (const auto& each : module.modules(/*include_self=*/true)) {
    const bool normalisation = is_normalisation(*each);
    for (const at::Tensor& parameter : each->parameters(/*recurse=*/false)) {
      if (!parameter.defined() || !parameter.requires_grad()) continue;
      if (!seen.insert(parameter.unsafeGetTensorImpl()).second) continue;
      (normalisation || parameter.dim() < 2 ? split.plain : split.decayed).push_back(parameter);
    }
  }
  return split;
}

}  // namespace halftone::optim
