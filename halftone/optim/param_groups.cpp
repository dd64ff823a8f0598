#include "halftone/optim/param_groups.h"

#include <unordered_set>

#include "halftone/precision/apply.h"

namespace halftone::optim {

DecaySplit split_by_decay(const torch::nn::Module& module) {
  DecaySplit split;
  std::unordered_set<const void*> seen;
  for (const auto& each : module.modules(/*include_self=*/true)) {
    const bool normalisation = is_normalization(*each);
    for (const at::Tensor& parameter : each->parameters(/*recurse=*/false)) {
      if (!parameter.defined() || !parameter.requires_grad()) continue;
      if (!seen.insert(parameter.unsafeGetTensorImpl()).second) continue;
      (normalisation || parameter.dim() < 2 ? split.plain : split.decayed).push_back(parameter);
    }
  }
  return split;
}

}  // namespace halftone::optim
