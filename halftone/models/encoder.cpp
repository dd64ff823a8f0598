#include "halftone/models/encoder.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/dropout.h>
#include <ATen/ops/zeros_like.h>

#include <sstream>

#include "halftone/base/error.h"
#include "halftone/models/encoder_options.h"
#include "halftone/models/masking.h"
#include "halftone/nn/attention.h"
#include "halftone/ops/generator.h"
#include "halftone/optim/init.h"

namespace halftone::models {
namespace {

constexpr double kEncoderDeviation = 0.02;  // of initial weights (Devlin et al.'s code)

// A module that only gives others their place in the names.
torch::nn::Module& group(torch::nn::Module& parent, const std::string& name) {
  return *parent.register_module(name, std::make_shared<torch::nn::Module>());
}

nn::Linear linear_in(torch::nn::Module& parent, const std::string& name, std::int64_t in,
                     std::int64_t out) {
  return parent.register_module(name, nn::Linear(in, out));
}

nn::LayerNorm norm_in(torch::nn::Module& parent, const EncoderOptions& o) {
  return parent.register_module(
      "LayerNorm", nn::LayerNorm(torch::nn::LayerNormOptions({o.width}).eps(o.epsilon)));
}

void initialise_encoder(torch::nn::Module& module, const EncoderOptions& o) {
  const init::Options how{o.init, at::make_generator<at::CPUGeneratorImpl>(o.seed)};
  for (auto& item : module.named_parameters()) {
    if (item.value().dim() >= 2) {
      init::normal_(item.value(), kEncoderDeviation, how);
    } else if (item.key().ends_with("bias")) {
      item.value().detach().zero_();
    }
  }
}

void check_input(const EncoderOptions& o, const at::Tensor& tokens, const at::Tensor& mask,
                 const at::Tensor& types) {
  const bool typed =
      !types.defined() || (types.sizes() == tokens.sizes() && types.scalar_type() == at::kLong);
  if (tokens.dim() == 2 && tokens.scalar_type() == at::kLong && tokens.size(1) >= 1 &&
      tokens.size(1) <= o.positions && mask.sizes() == tokens.sizes() &&
      mask.scalar_type() == at::kBool && typed) {
    return;
  }
  std::ostringstream given;
  given << "tokens " << tokens.sizes() << " of " << tokens.scalar_type() << ", mask "
        << mask.sizes() << " of " << mask.scalar_type();
  if (types.defined()) given << ", types " << types.sizes() << " of " << types.scalar_type();
  throw Error(
      given.str(),
      "(N, T) of Long, Bool and Long, T at most the " + std::to_string(o.positions) + " positions",
      "encoder");
}

// (N,T,C) -> (N,C): over the tokens that are there, in the states' format; zero where none is.
at::Tensor mean_state(const at::Tensor& states, const at::Tensor& mask) {
  const auto count = mask.sum(1, /*keepdim=*/true).clamp_min(1).to(at::kFloat);
  const auto weights = (mask.to(at::kFloat) / count).to(states.scalar_type());
  return (states * weights.unsqueeze(2)).sum(1);
}

}  // namespace

EncoderLayerImpl::EncoderLayerImpl(const EncoderOptions& o)
    : heads_(o.heads),
      dropout_(o.dropout),
      query_(nullptr),
      key_(nullptr),
      value_(nullptr),
      attention_dense_(nullptr),
      output_dense_(nullptr),
      intermediate_dense_(nullptr),
      attention_norm_(nullptr),
      output_norm_(nullptr) {
  auto& attention = group(*this, "attention");
  auto& self = group(attention, "self");
  query_ = linear_in(self, "query", o.width, o.width);
  key_ = linear_in(self, "key", o.width, o.width);
  value_ = linear_in(self, "value", o.width, o.width);
  auto& attention_output = group(attention, "output");
  attention_dense_ = linear_in(attention_output, "dense", o.width, o.width);
  attention_norm_ = norm_in(attention_output, o);
  intermediate_dense_ =
      group(*this, "intermediate").register_module("dense", nn::LinearGelu(o.width, o.inner));
  intermediate_dense_->approximate = o.gelu;
  auto& output = group(*this, "output");
  output_dense_ = linear_in(output, "dense", o.inner, o.width);
  output_norm_ = norm_in(output, o);
}

at::Tensor EncoderLayerImpl::attend(const at::Tensor& x, const at::Tensor& bias) {
  return attention_dense_(
      nn::attention(query_(x), key_(x), value_(x), {.heads = heads_, .bias = bias}));
}

at::Tensor EncoderLayerImpl::forward(const at::Tensor& x, const at::Tensor& bias) {
  const auto attended = attention_norm_(x + at::dropout(attend(x, bias), dropout_, is_training()));
  const auto mlp = output_dense_(intermediate_dense_(attended));
  return output_norm_(attended + at::dropout(mlp, dropout_, is_training()));
}

Encoder::Encoder(const EncoderOptions& options)
    : options_(checked_encoder_options(options)),
      words_(nullptr),
      positions_(nullptr),
      types_(nullptr),
      norm_(nullptr),
      pooler_(nullptr) {
  const GeneratorKept kept;  // LibTorch's modules draw from it when they are made; that is replaced
  const EncoderOptions& o = options_;
  auto& embeddings = group(*this, "embeddings");
  const auto table = [&](const char* name, std::int64_t rows) {
    return embeddings.register_module(name, torch::nn::Embedding(rows, o.width));
  };
  words_ = table("word_embeddings", o.vocabulary);
  positions_ = table("position_embeddings", o.positions);
  types_ = table("token_type_embeddings", o.types);
  norm_ = norm_in(embeddings, o);
  layers_ = group(*this, "encoder").register_module("layer", torch::nn::ModuleList());
  for (std::int64_t i = 0; i < o.layers; ++i) layers_->push_back(EncoderLayer(o));
  if (o.pooler) pooler_ = linear_in(group(*this, "pooler"), "dense", o.width, o.width);
  initialise_encoder(*this, o);
}

at::Tensor Encoder::forward(const at::Tensor& tokens, const at::Tensor& mask,
                            const at::Tensor& types) {
  check_input(options_, tokens, mask, types);
  const auto places = at::arange(tokens.size(1), tokens.options());
  const auto kinds = types_(types.defined() ? types : at::zeros_like(tokens));
  auto x = norm_(words_(tokens) + positions_(places) + kinds);
  x = at::dropout(x, options_.dropout, is_training());
  const auto bias = attention_bias(mask, x.scalar_type());
  for (const auto& layer : *layers_) {
    x = run_block({layer}, x, [layer, bias](const at::Tensor& in) {
      return layer->as<EncoderLayer>()->forward(in, bias);
    });
  }
  return x;
}

at::Tensor Encoder::pooled(const at::Tensor& states) {
  if (!pooler_) throw Error("no pooler", "an encoder with one", "encoder");
  return pooler_(states.select(1, 0)).tanh();
}

EncoderClassifier::EncoderClassifier(EncoderOptions options, std::int64_t classes)
    : bert_(nullptr), classifier_(nullptr) {
  const GeneratorKept kept;
  options.pooler = false;
  bert_ = register_module("bert", std::make_shared<Encoder>(options));
  classifier_ = linear_in(*this, "classifier", options.width, classes);
  options.seed += 1;  // other draws than the first of the encoder's
  initialise_encoder(*classifier_, options);
}

at::Tensor EncoderClassifier::forward(const at::Tensor& tokens, const at::Tensor& mask) {
  const auto mean = mean_state(bert_->forward(tokens, mask), mask);
  return classifier_(at::dropout(mean, bert_->options().dropout, is_training()));
}

EncoderSpans::EncoderSpans(EncoderOptions options) : bert_(nullptr), outputs_(nullptr) {
  const GeneratorKept kept;
  options.pooler = false;
  bert_ = register_module("bert", std::make_shared<Encoder>(options));
  outputs_ = linear_in(*this, "qa_outputs", options.width, 2);
  options.seed += 1;
  initialise_encoder(*outputs_, options);
}

at::Tensor EncoderSpans::forward(const at::Tensor& tokens, const at::Tensor& mask,
                                 const at::Tensor& types) {
  return outputs_(bert_->forward(tokens, mask, types));
}

}  // namespace halftone::models
