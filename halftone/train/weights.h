// A module's weights by name: to and from files, compared and replaced for a while.
#pragma once

#include <c10/core/ScalarType.h>

#include <filesystem>
#include <string>

#include "halftone/base/export.h"
#include "halftone/train/safetensors.h"

namespace torch::nn {
class Module;
}

namespace halftone {

// Parameters, then buffers, by their names in named_parameters() and named_buffers(); they share
// the module's memory.
HALFTONE_API NamedTensors named_weights(const torch::nn::Module& module);

// Copies `weights` into the module, rounded to the formats that it has. Throws Error with the first
// three names and shapes that differ, and then changes nothing. where: the file, for the message.
HALFTONE_API void set_weights(torch::nn::Module& module, const NamedTensors& weights,
                              const std::string& where);

// Copies in the weights of a safetensors file or of a checkpoint (of that the average, if it holds
// one). Throws Error as set_weights() and the readers of both do.
HALFTONE_API void load_weights(torch::nn::Module& module, const std::filesystem::path& path);

// While one lives, the module's parameters and buffers have the values of `weights` (all its names)
// in `format` (floating ones); its destructor puts back the tensors of before, untouched: their
// memory, format and version. Nothing may step an optimizer meanwhile.
class HALFTONE_API WeightsReplaced {
 public:
  WeightsReplaced(torch::nn::Module& module, const NamedTensors& weights, c10::ScalarType format);
  ~WeightsReplaced();
  WeightsReplaced(const WeightsReplaced&) = delete;
  WeightsReplaced& operator=(const WeightsReplaced&) = delete;

 private:
  std::vector<std::pair<at::Tensor, at::Tensor>> before_;  // the module's tensor, what it held
};

}  // namespace halftone
