// BERT: a transformer encoder with normalisation after each part (Devlin et al. 2019, 3; Vaswani et
// al. 2017, 3.1), and the networks that judge a text or find an answer in one with it.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/embedding.h>

#include <cstdint>
#include <string>

#include "halftone/base/export.h"
#include "halftone/base/json.h"
#include "halftone/models/block_network.h"
#include "halftone/nn/layers.h"
#include "halftone/precision/format.h"

namespace halftone::models {

struct EncoderOptions {
  std::int64_t vocabulary = 0;  // tokens are 0 to vocabulary - 1
  std::int64_t positions = 512, types = 2;
  std::int64_t layers = 6, heads = 12, width = 384;  // width: a multiple of heads
  std::int64_t inner = 1536;                         // the width between a layer's two products
  double dropout = 0.1;        // of the embeddings and of what each part adds; not of attention's
                               // weights, for which LibTorch has no blocked kernel on the CPU
  double epsilon = 1e-12;      // of the normalisations
  std::string gelu = "none";   // or "tanh", its approximation
  bool pooler = true;          // a layer over the first token's state
  std::uint64_t seed = 0;      // of the initial weights; LibTorch's own generator is not touched
  Format init = Format::fp32;  // in which they are drawn: fp32 or fp64

  // Of a Hugging Face folder's config.json. where: the file, for messages. Throws Error for a key
  // that is missing and for what this encoder is not (another model_type, relative positions, a
  // decoder).
  HALFTONE_API static EncoderOptions from_config(const Json& config, const std::string& where);
};

// One layer: norm(x + attention(x)), then norm(x + mlp(x)) with GELU.
class EncoderLayerImpl : public torch::nn::Module {
 public:
  explicit EncoderLayerImpl(const EncoderOptions& options);
  // x: (N,T,C); bias: (N,1,1,T), 0 or minus infinity -> (N,T,C)
  at::Tensor forward(const at::Tensor& x, const at::Tensor& bias);

 private:
  at::Tensor attend(const at::Tensor& x, const at::Tensor& bias);

  std::int64_t heads_;
  double dropout_;
  nn::Linear query_, key_, value_, attention_dense_, output_dense_;
  nn::LinearGelu intermediate_dense_;
  nn::LayerNorm attention_norm_, output_norm_;
};
TORCH_MODULE(EncoderLayer);

// Parameters are named as in Hugging Face's BertModel (embeddings.word_embeddings.weight,
// encoder.layer.0.attention.self.query.weight, …), so that its weights load by name.
class HALFTONE_API Encoder : public torch::nn::Module, public BlockNetwork {
 public:
  // Throws UsageError for options that make no sense. Weights: normal with deviation 0.02, biases
  // 0.
  explicit Encoder(const EncoderOptions& options);

  // tokens: (N,T) int64, T at most options().positions; mask: (N,T) bool, true where there is a
  // token; types: (N,T) int64 below options().types, undefined: all 0 -> states (N,T,C). What is
  // masked changes no other state; a text that is masked as a whole attends to nothing, and its
  // states stay finite in every format. Throws Error for other shapes and types. Thread-safe in
  // evaluation mode.
  at::Tensor forward(const at::Tensor& tokens, const at::Tensor& mask,
                     const at::Tensor& types = {});

  // states: (N,T,C) -> (N,C): tanh of a linear layer over the first token's. options().pooler only.
  at::Tensor pooled(const at::Tensor& states);

  const EncoderOptions& options() const { return options_; }

 private:
  EncoderOptions options_;
  torch::nn::Embedding words_, positions_, types_;
  nn::LayerNorm norm_;
  torch::nn::ModuleList layers_;
  nn::Linear pooler_;  // empty where there is none
};

// Children "bert", without a pooler, and "classifier": a linear layer over the mean of the states
// of the tokens that are there, which sentence encoders are trained by (Reimers and Gurevych 2019,
// 3); a text that is masked as a whole gets its bias.
class HALFTONE_API EncoderClassifier : public torch::nn::Module {
 public:
  EncoderClassifier(EncoderOptions options, std::int64_t classes);
  // -> logits (N,classes); the rest as Encoder::forward.
  at::Tensor forward(const at::Tensor& tokens, const at::Tensor& mask);
  Encoder& encoder() { return *bert_; }

 private:
  std::shared_ptr<Encoder> bert_;
  nn::Linear classifier_;
};

// Children "bert", without a pooler, and "qa_outputs", as BertForQuestionAnswering.
class HALFTONE_API EncoderSpans : public torch::nn::Module {
 public:
  explicit EncoderSpans(EncoderOptions options);
  // -> logits (N,T,2) of each token being the answer's first, and its last; the rest as
  // Encoder::forward.
  at::Tensor forward(const at::Tensor& tokens, const at::Tensor& mask, const at::Tensor& types);
  Encoder& encoder() { return *bert_; }

 private:
  std::shared_ptr<Encoder> bert_;
  nn::Linear outputs_;
};

}  // namespace halftone::models
