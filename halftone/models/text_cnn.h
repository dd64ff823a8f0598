// A convolutional network over the words of a sentence (Kim, EMNLP 2014).
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/embedding.h>

#include <cstdint>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/nn/layers.h"
#include "halftone/precision/format.h"

namespace halftone::models {

struct TextCnnOptions {
  std::int64_t vocabulary = 0, classes = 2;
  std::int64_t width = 128;                     // of a word's embedding
  std::int64_t maps = 100;                      // of each convolution
  std::vector<std::int64_t> spans = {3, 4, 5};  // words that a convolution sees
  double dropout = 0.5;        // of the words' embeddings and before the last layer
  std::uint64_t seed = 0;      // of the initial weights; LibTorch's own generator is not touched
  Format init = Format::fp32;  // in which they are drawn: fp32 or fp64
};

// Embedding, convolutions of several spans beside one another with ReLU, the maximum over the
// sentence of each map, a linear layer. What is masked counts as absent: padding changes no output,
// and a sentence that is masked as a whole gets the last layer's bias.
class HALFTONE_API TextCnn : public torch::nn::Module {
 public:
  // Throws UsageError for options that make no sense. Embedding normal with deviation 0.1, the rest
  // Kaiming uniform for ReLU, biases 0.
  explicit TextCnn(const TextCnnOptions& options);

  // tokens: (N,T) int64; mask: (N,T) bool -> logits (N,classes). Throws Error for other shapes and
  // types. Thread-safe in evaluation mode.
  at::Tensor forward(const at::Tensor& tokens, const at::Tensor& mask);

 private:
  TextCnnOptions options_;
  torch::nn::Embedding embedding_;
  torch::nn::ModuleList convolutions_;  // linear layers over `span` words side by side
  nn::Linear fc_;
};

}  // namespace halftone::models
