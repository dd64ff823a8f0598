// The names of parameters, found again from the tensor: LibTorch's C++ modules have no hooks, but
// an operation sees the parameter's own TensorImpl.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "halftone/base/export.h"

namespace torch::nn {
class Module;
}

namespace halftone {

// Remembers the full name ("layer1.0.conv1.weight", with `prefix` and a dot before it where given)
// of every parameter of the tree, for the life of the parameter. A second call renames. A parameter
// that several modules share has the first of its names. Thread-safe.
HALFTONE_API void register_parameter_names(const torch::nn::Module& module,
                                           const std::string& prefix = "");

// The registered name of the parameter that `tensor` is (the same TensorImpl: a view, a copy or a
// cast of a parameter has none); "" if there is none. Thread-safe; one shared lock.
HALFTONE_API std::string parameter_name(const at::Tensor& tensor);

}  // namespace halftone
