// Parameter groups from a module: no weight decay on biases and normalisation layers.
#pragma once

#include <torch/nn/module.h>

#include <utility>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/optim/group_options.h"

namespace halftone::optim {

struct DecaySplit {
  std::vector<at::Tensor> decayed, plain;
};

// The module's trainable parameters, each once, in the module's order. plain: what has fewer than
// two dimensions (biases, scales) and everything that belongs to a batch, instance, group or layer
// normalisation or local response layer.
HALFTONE_API DecaySplit split_by_decay(const torch::nn::Module& module);

struct NormBiasSplit {
  std::vector<at::Tensor> others, norm_biases;
};

// The same parameters; norm_biases: what is called "bias" in a normalisation layer.
HALFTONE_API NormBiasSplit split_by_norm_bias(const torch::nn::Module& module);

// Two groups, or one where the other is empty: `options` as given, and with weight_decay 0.
template <class Options>
std::vector<torch::optim::OptimizerParamGroup> decay_groups(const torch::nn::Module& module,
                                                            const Options& options) {
  DecaySplit split = split_by_decay(module);
  Options plain = options;
  plain.weight_decay = 0;
  std::vector<torch::optim::OptimizerParamGroup> groups;
  if (!split.decayed.empty()) groups.push_back(group(std::move(split.decayed), options));
  if (!split.plain.empty()) groups.push_back(group(std::move(split.plain), plain));
  return groups;
}

}  // namespace halftone::optim
