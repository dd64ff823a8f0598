// An encoder-decoder transformer with normalisation before each part (Vaswani et al. 2017, 3; Xiong
// et al. 2020 for the place of the normalisation).
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/embedding.h>

#include <cstdint>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/models/block_network.h"
#include "halftone/nn/layers.h"
#include "halftone/precision/format.h"

namespace halftone::models {

struct TranslatorOptions {
  std::int64_t vocabulary = 0;          // tokens are 0 to vocabulary - 1, of both languages
  std::int64_t positions = 256;         // the longest text
  std::int64_t layers = 3;              // of the encoder, and as many of the decoder
  std::int64_t heads = 4, width = 256;  // width: an even multiple of heads
  std::int64_t inner = 1024;            // the width between a layer's two products
  double dropout = 0.3;        // of the embeddings and of what each part adds; not of attention's
                               // weights, for which LibTorch has no blocked kernel on the CPU
  std::uint64_t seed = 0;      // of the initial weights; LibTorch's own generator is not touched
  Format init = Format::fp32;  // in which they are drawn: fp32 or fp64
};

// Keys and values of one layer: (N,heads,T,width/heads).
struct KeysValues {
  at::Tensor keys, values;
};

// Attention of a text to itself: in_proj gives query, key and value, as torch.nn's in_proj_weight.
class SelfAttentionImpl : public torch::nn::Module {
 public:
  explicit SelfAttentionImpl(const TranslatorOptions& options);
  // x: (N,T,C); bias: (N,1,1,T), 0 or minus infinity, or undefined -> (N,T,C)
  at::Tensor forward(const at::Tensor& x, const at::Tensor& bias, bool causal);
  // x: (N,1,C), what follows the places in `past`, to which it is added -> (N,1,C)
  at::Tensor step(const at::Tensor& x, KeysValues& past);

 private:
  std::int64_t heads_;
  nn::Linear in_proj_, out_proj_;
};
TORCH_MODULE(SelfAttention);

// Attention of the decoder to what the encoder gave.
class CrossAttentionImpl : public torch::nn::Module {
 public:
  explicit CrossAttentionImpl(const TranslatorOptions& options);
  KeysValues keys_values(const at::Tensor& memory);  // of (N,S,C)
  // x: (N,T,C); bias: (N,1,1,S), 0 or minus infinity -> (N,T,C)
  at::Tensor forward(const at::Tensor& x, const KeysValues& memory, const at::Tensor& bias);

 private:
  std::int64_t heads_;
  nn::Linear q_proj_, kv_proj_, out_proj_;
};
TORCH_MODULE(CrossAttention);

// x + linear2(relu(linear1(norm(x)))), the last part of each layer.
class FeedForwardImpl : public torch::nn::Module {
 public:
  explicit FeedForwardImpl(const TranslatorOptions& options);
  at::Tensor forward(const at::Tensor& x);

 private:
  double dropout_;
  nn::LayerNorm norm_;
  nn::Linear linear1_, linear2_;
};
TORCH_MODULE(FeedForward);

class TranslatorEncoderLayerImpl : public torch::nn::Module {
 public:
  explicit TranslatorEncoderLayerImpl(const TranslatorOptions& options);
  at::Tensor forward(const at::Tensor& x, const at::Tensor& bias);

 private:
  double dropout_;
  nn::LayerNorm norm_;
  SelfAttention self_attn_;
  FeedForward feed_forward_;
};
TORCH_MODULE(TranslatorEncoderLayer);

class TranslatorDecoderLayerImpl : public torch::nn::Module {
 public:
  explicit TranslatorDecoderLayerImpl(const TranslatorOptions& options);
  at::Tensor forward(const at::Tensor& x, const at::Tensor& memory, const at::Tensor& bias);
  // x: (N,K,C), the next place of each of K beams; past: of N K texts -> (N,K,C)
  at::Tensor step(const at::Tensor& x, KeysValues& past, const KeysValues& memory,
                  const at::Tensor& bias);
  KeysValues keys_values(const at::Tensor& memory) { return cross_attn_->keys_values(memory); }

 private:
  at::Tensor finish(const at::Tensor& x, const KeysValues& memory, const at::Tensor& bias);

  double dropout_;
  nn::LayerNorm norm1_, norm2_;
  SelfAttention self_attn_;
  CrossAttention cross_attn_;
  FeedForward feed_forward_;
};
TORCH_MODULE(TranslatorDecoderLayer);

// How far K beams of each of N texts have got, for Translator::step(): per layer the keys and
// values of what was said, (N K,heads,T,·), and of the memory, (N,heads,S,·).
struct HALFTONE_API DecoderState {
  std::vector<KeysValues> past, memory;
  at::Tensor bias;          // (N,1,1,S)
  std::int64_t length = 0;  // T

  // Goes on with these of the N texts, and these of the N K beams; both int64.
  void select(const at::Tensor& texts, const at::Tensor& beams);
};

// Children: embedding, of source, target and, as the output's weight, both (Press and Wolf 2017);
// encoder.I, encoder_norm, decoder.I, decoder_norm. Positions are sines and cosines (Vaswani et
// al., 3.5), no parameters.
class HALFTONE_API Translator : public torch::nn::Module, public BlockNetwork {
 public:
  // Throws UsageError for options that make no sense. Weights: the embedding normal with deviation
  // 1/sqrt(width), the others Xavier uniform, biases 0.
  explicit Translator(const TranslatorOptions& options);

  // tokens: (N,S) int64, S at most options().positions; mask: (N,S) bool, true where there is a
  // token; prefix: (N,T) int64, T as S -> logits (N,T,vocabulary) of what follows prefix up to t;
  // what is masked, and prefix after t, changes none of them. A text that is masked as a whole is
  // attended to with zeros; all stays finite in every format. Throws Error for other shapes and
  // types. Thread-safe in evaluation mode.
  at::Tensor forward(const at::Tensor& tokens, const at::Tensor& mask, const at::Tensor& prefix);

  // The same a token at a time, for N texts and K beams of each: tokens: (N,K) int64, at the place
  // state.length -> logits (N,K,vocabulary). Throws Error beyond the positions.
  DecoderState start(const at::Tensor& tokens, const at::Tensor& mask);
  at::Tensor step(const at::Tensor& tokens, DecoderState& state);

  const TranslatorOptions& options() const { return options_; }

 private:
  at::Tensor embed(const at::Tensor& tokens, std::int64_t first);
  at::Tensor encode(const at::Tensor& tokens, const at::Tensor& mask);
  at::Tensor logits(const at::Tensor& states);

  TranslatorOptions options_;
  torch::nn::Embedding embedding_;
  torch::nn::ModuleList encoder_, decoder_;
  nn::LayerNorm encoder_norm_, decoder_norm_;
};

}  // namespace halftone::models
