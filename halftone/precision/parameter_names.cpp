#include "halftone/precision/parameter_names.h"

#include <torch/nn/module.h>

#include "halftone/precision/tensor_map.h"

namespace halftone {
namespace {

// Never destroyed: a thread may still look up while the process ends.
TensorMap<std::string>& names() {
  static auto* instance = new TensorMap<std::string>;
  return *instance;
}

}  // namespace

void register_parameter_names(const torch::nn::Module& module, const std::string& prefix) {
  const auto parameters = module.named_parameters(/*recurse=*/true);
  // Backwards, so that the first name of a shared parameter stays.
  for (std::size_t i = parameters.size(); i-- > 0;) {
    const auto& item = parameters[i];
    if (!item.value().defined()) continue;
    names().set(item.value(), prefix.empty() ? item.key() : prefix + "." + item.key());
  }
}

std::string parameter_name(const at::Tensor& tensor) {
  return tensor.defined() ? names().find(tensor) : "";
}

}  // namespace halftone
