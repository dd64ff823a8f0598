// Weights of a frozen network packed once for its products, for inference.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "halftone/base/export.h"

namespace halftone {

// What prepack() did.
struct HALFTONE_API PrepackReport {
  struct Entry {
    std::string name;  // "layer1.0.conv1", as in named_modules(); "" for the module itself
    std::string text;  // its class, or why it was left alone
  };
  std::vector<Entry> packed, left_alone;

  // One line for each entry.
  std::string str() const;
};

// Packs the weights of every Linear, Conv1d and Conv2d of the tree (torch::nn's, nn's and classes
// derived from these) as the kernels read them, so that no forward pass does it again; results stay
// the same bits. For weights in fp16 or bf16 that don't train, where a pass's rows are few (small
// batches). Takes as much memory as the weights, on rungs without half arithmetic twice as much.
//
// A weight that requires a gradient is an Error that names it, and nothing is packed: training
// packs in each pass. The pack lives as long as the weight's tensor. It is not used once the tensor
// requires a gradient or has other memory (set_data, to()); after a write in place that LibTorch
// counts (copy_, load_state_dict) the next pass packs again. A write that it doesn't count (through
// .data, or a raw pointer) is not seen: call prepack() again. Left alone are weights of other
// formats, groups, convolutions where they are LibTorch's, and on the reference rung all;
// where the overrides of enable() are out, or LibTorch's own kernel serves a case, packs lie idle.
// Thread-safe.
HALFTONE_API PrepackReport prepack(torch::nn::Module& module);

// The same for one weight, of a linear layer [out, in] or a convolution [out, in / groups, ...]:
// why it was left alone, or "" once it is packed.
HALFTONE_API std::string prepack_weight(const at::Tensor& weight, std::int64_t groups = 1);

// Forgets the packs of the tree's weights and frees them. Thread-safe.
HALFTONE_API void unpack(torch::nn::Module& module);

}  // namespace halftone
