// GPT: a decoder-only transformer with normalisation before each part (Radford et al. 2019, 2.3).
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/normalization.h>

#include <cstdint>
#include <memory>

#include "halftone/base/export.h"
#include "halftone/models/block_network.h"
#include "halftone/nn/layers.h"
#include "halftone/precision/format.h"

namespace halftone::models {

struct GptOptions {
  std::int64_t vocabulary = 0;  // tokens are 0 to vocabulary - 1
  std::int64_t context = 128;   // positions that are learned: the longest sequence
  std::int64_t layers = 4, heads = 4, width = 128;  // width: a multiple of heads
  double dropout = 0;  // of the embeddings and of what each part adds; not of attention's weights,
                       // for which LibTorch has no blocked kernel on the CPU
  bool tied_head = false;      // the head's weight is the token embedding's (Press and Wolf 2017)
  std::uint64_t seed = 0;      // of the initial weights; LibTorch's own generator is not touched
  Format init = Format::fp32;  // in which they are drawn: fp32 or fp64
};

// One layer: x + attention(norm(x)), then x + mlp(norm(x)), the MLP four times as wide with GELU.
class GptBlockImpl : public torch::nn::Module {
 public:
  explicit GptBlockImpl(const GptOptions& options);
  at::Tensor forward(const at::Tensor& x);  // (N,T,C) -> (N,T,C)

 private:
  at::Tensor attend(const at::Tensor& x);

  std::int64_t heads_;
  double dropout_;
  torch::nn::LayerNorm ln_1, ln_2;
  nn::Linear c_attn, attn_proj, c_fc, mlp_proj;
};
TORCH_MODULE(GptBlock);

// Parameters: wte, wpe, h.I.{ln_1, c_attn, attn_proj, ln_2, c_fc, mlp_proj}, ln_f, lm_head; linear
// weights (out, in).
class HALFTONE_API Gpt : public torch::nn::Module, public BlockNetwork {
 public:
  // Throws UsageError for options that make no sense. Weights: normal with deviation 0.02, of the
  // projections that are added to the residual stream divided by sqrt(2 layers), biases 0.
  explicit Gpt(const GptOptions& options);

  // tokens: (N,T) int64, T at most the context -> logits (N,T,vocabulary); logits at t depend on
  // tokens up to t. Throws Error for another shape or type. Thread-safe in evaluation mode.
  at::Tensor forward(const at::Tensor& tokens);

  const GptOptions& options() const { return options_; }

 private:
  GptOptions options_;
  torch::nn::Embedding wte_, wpe_;
  torch::nn::ModuleList blocks_;
  torch::nn::LayerNorm ln_f_;
  nn::Linear lm_head_;  // empty where it is tied
};

}  // namespace halftone::models
