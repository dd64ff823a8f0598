#include "halftone/models/translator.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/dropout.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/stack.h>
#include <c10/core/ScalarType.h>

#include <cmath>
#include <sstream>
#include <utility>

#include "halftone/base/error.h"
#include "halftone/base/text.h"
#include "halftone/models/masking.h"
#include "halftone/nn/attention.h"
#include "halftone/ops/generator.h"
#include "halftone/optim/init.h"

namespace halftone::models {
namespace {

const TranslatorOptions& checked_translator(const TranslatorOptions& o) {
  const std::pair<const char*, std::int64_t> counts[] = {
      {"vocabulary", o.vocabulary}, {"positions", o.positions}, {"layers", o.layers},
      {"heads", o.heads},           {"width", o.width},         {"inner", o.inner}};
  for (const auto& [name, value] : counts) {
    if (value < 1) {
      throw UsageError(std::to_string(value), "1 or more", std::string("translator, ") + name);
    }
  }
  if (o.width % o.heads != 0 || o.width % 2 != 0) {
    throw UsageError(std::to_string(o.width),
                     "an even multiple of the " + std::to_string(o.heads) + " heads",
                     "translator, width");
  }
  if (!(o.dropout >= 0 && o.dropout < 1)) {
    throw UsageError(format_number(o.dropout), "0 or more, below 1", "translator, dropout");
  }
  return o;
}

nn::LayerNorm layer_norm(torch::nn::Module& parent, const char* name, std::int64_t width) {
  return parent.register_module(name, nn::LayerNorm(torch::nn::LayerNormOptions({width})));
}

nn::Linear projection(torch::nn::Module& parent, const char* name, std::int64_t in,
                      std::int64_t out) {
  return parent.register_module(name, nn::Linear(in, out));
}

void initialise_translator(torch::nn::Module& module, const TranslatorOptions& o) {
  const init::Options how{o.init, at::make_generator<at::CPUGeneratorImpl>(o.seed)};
  for (auto& item : module.named_parameters()) {
    if (item.key() == "embedding.weight") {
      init::normal_(item.value(), 1 / std::sqrt(static_cast<double>(o.width)), how);
    } else if (item.value().dim() >= 2) {
      init::xavier_uniform_(item.value(), 1, how);
    } else if (item.key().ends_with("bias")) {
      item.value().detach().zero_();
    }
  }
}

// (N,T,parts C) -> parts tensors (N,heads,T,C/heads)
std::vector<at::Tensor> in_heads(const at::Tensor& x, std::int64_t parts, std::int64_t heads) {
  const auto n = x.size(0), t = x.size(1), c = x.size(2) / parts;
  return x.view({n, t, parts, heads, c / heads}).permute({2, 0, 3, 1, 4}).unbind(0);
}

// (N,heads,T,C/heads) -> (N,T,C)
at::Tensor out_of_heads(const at::Tensor& x) { return x.transpose(1, 2).flatten(2); }

// Sines of the even and cosines of the odd elements, as they are in Vaswani et al. (T,C), fp32 or,
// for a network in fp64, fp64.
at::Tensor position_waves(std::int64_t first, std::int64_t count, std::int64_t width,
                          const at::TensorOptions& options) {
  constexpr double kLongestWave = 10000;  // over 2 pi
  const auto precise =
      options.dtype(c10::promoteTypes(c10::typeMetaToScalarType(options.dtype()), at::kFloat));
  const auto places = at::arange(first, first + count, precise);
  const auto rates =
      (at::arange(0, width, 2, precise) * (-std::log(kLongestWave) / static_cast<double>(width)))
          .exp();
  const auto angles = at::outer(places, rates);
  return at::stack({angles.sin(), angles.cos()}, 2).flatten(1);
}

bool is_text(const at::Tensor& tokens, std::int64_t positions) {
  return tokens.dim() == 2 && tokens.scalar_type() == at::kLong && tokens.size(1) >= 1 &&
         tokens.size(1) <= positions;
}

void check_texts(const TranslatorOptions& o, const at::Tensor& tokens, const at::Tensor& mask,
                 const at::Tensor& prefix) {
  if (is_text(tokens, o.positions) && mask.sizes() == tokens.sizes() &&
      mask.scalar_type() == at::kBool &&
      (!prefix.defined() || (is_text(prefix, o.positions) && prefix.size(0) == tokens.size(0)))) {
    return;
  }
  std::ostringstream given;
  given << "tokens " << tokens.sizes() << " of " << tokens.scalar_type() << ", mask "
        << mask.sizes() << " of " << mask.scalar_type();
  if (prefix.defined()) given << ", prefix " << prefix.sizes() << " of " << prefix.scalar_type();
  throw Error(given.str(),
              "(N, S) of Long and Bool and (N, T) of Long, S and T at most the " +
                  std::to_string(o.positions) + " positions",
              "translator");
}

}  // namespace

SelfAttentionImpl::SelfAttentionImpl(const TranslatorOptions& o)
    : heads_(o.heads),
      in_proj_(projection(*this, "in_proj", o.width, 3 * o.width)),
      out_proj_(projection(*this, "out_proj", o.width, o.width)) {}

at::Tensor SelfAttentionImpl::forward(const at::Tensor& x, const at::Tensor& bias, bool causal) {
  return out_proj_(nn::attention(in_proj_(x), {.heads = heads_, .causal = causal, .bias = bias}));
}

at::Tensor SelfAttentionImpl::step(const at::Tensor& x, KeysValues& past) {
  const auto parts = in_heads(in_proj_(x), 3, heads_);
  past.keys = past.keys.defined() ? at::cat({past.keys, parts[1]}, 2) : parts[1];
  past.values = past.values.defined() ? at::cat({past.values, parts[2]}, 2) : parts[2];
  return out_proj_(
      out_of_heads(at::scaled_dot_product_attention(parts[0], past.keys, past.values)));
}

CrossAttentionImpl::CrossAttentionImpl(const TranslatorOptions& o)
    : heads_(o.heads),
      q_proj_(projection(*this, "q_proj", o.width, o.width)),
      kv_proj_(projection(*this, "kv_proj", o.width, 2 * o.width)),
      out_proj_(projection(*this, "out_proj", o.width, o.width)) {}

KeysValues CrossAttentionImpl::keys_values(const at::Tensor& memory) {
  const auto parts = in_heads(kv_proj_(memory), 2, heads_);
  return {parts[0], parts[1]};
}

at::Tensor CrossAttentionImpl::forward(const at::Tensor& x, const KeysValues& memory,
                                       const at::Tensor& bias) {
  const auto query = in_heads(q_proj_(x), 1, heads_)[0];
  return out_proj_(out_of_heads(at::scaled_dot_product_attention(query, memory.keys, memory.values,
                                                                 bias.to(query.scalar_type()))));
}

FeedForwardImpl::FeedForwardImpl(const TranslatorOptions& o)
    : dropout_(o.dropout),
      norm_(layer_norm(*this, "norm", o.width)),
      linear1_(projection(*this, "linear1", o.width, o.inner)),
      linear2_(projection(*this, "linear2", o.inner, o.width)) {}

at::Tensor FeedForwardImpl::forward(const at::Tensor& x) {
  return x + at::dropout(linear2_(at::relu(linear1_(norm_(x)))), dropout_, is_training());
}

TranslatorEncoderLayerImpl::TranslatorEncoderLayerImpl(const TranslatorOptions& o)
    : dropout_(o.dropout),
      norm_(layer_norm(*this, "norm", o.width)),
      self_attn_(register_module("self_attn", SelfAttention(o))),
      feed_forward_(register_module("feed_forward", FeedForward(o))) {}

at::Tensor TranslatorEncoderLayerImpl::forward(const at::Tensor& x, const at::Tensor& bias) {
  const auto attended = self_attn_->forward(norm_(x), bias, /*causal=*/false);
  return feed_forward_(x + at::dropout(attended, dropout_, is_training()));
}

TranslatorDecoderLayerImpl::TranslatorDecoderLayerImpl(const TranslatorOptions& o)
    : dropout_(o.dropout),
      norm1_(layer_norm(*this, "norm1", o.width)),
      norm2_(layer_norm(*this, "norm2", o.width)),
      self_attn_(register_module("self_attn", SelfAttention(o))),
      cross_attn_(register_module("cross_attn", CrossAttention(o))),
      feed_forward_(register_module("feed_forward", FeedForward(o))) {}

// Padding of the target is behind all that counts, which does not look ahead: it needs no mask.
at::Tensor TranslatorDecoderLayerImpl::forward(const at::Tensor& x, const at::Tensor& memory,
                                               const at::Tensor& bias) {
  const auto attended = self_attn_->forward(norm1_(x), {}, /*causal=*/true);
  return finish(x + at::dropout(attended, dropout_, is_training()), keys_values(memory), bias);
}

at::Tensor TranslatorDecoderLayerImpl::step(const at::Tensor& x, KeysValues& past,
                                            const KeysValues& memory, const at::Tensor& bias) {
  const auto places = norm1_(x).flatten(0, 1).unsqueeze(1);  // each beam is a text of its own
  return finish(x + self_attn_->step(places, past).view(x.sizes()), memory, bias);
}

at::Tensor TranslatorDecoderLayerImpl::finish(const at::Tensor& x, const KeysValues& memory,
                                              const at::Tensor& bias) {
  const auto attended = cross_attn_->forward(norm2_(x), memory, bias);
  return feed_forward_(x + at::dropout(attended, dropout_, is_training()));
}

void DecoderState::select(const at::Tensor& texts, const at::Tensor& beams) {
  const auto take = [](KeysValues& from, const at::Tensor& rows) {
    from = {from.keys.index_select(0, rows), from.values.index_select(0, rows)};
  };
  for (KeysValues& layer : past) take(layer, beams);
  if (texts.size(0) == bias.size(0)) return;  // all: they keep their order
  for (KeysValues& layer : memory) take(layer, texts);
  bias = bias.index_select(0, texts);
}

Translator::Translator(const TranslatorOptions& options)
    : options_(checked_translator(options)),
      embedding_(nullptr),
      encoder_norm_(nullptr),
      decoder_norm_(nullptr) {
  const GeneratorKept kept;  // LibTorch's modules draw from it when they are made; that is replaced
  const TranslatorOptions& o = options_;
  embedding_ = register_module("embedding", torch::nn::Embedding(o.vocabulary, o.width));
  encoder_ = register_module("encoder", torch::nn::ModuleList());
  encoder_norm_ = layer_norm(*this, "encoder_norm", o.width);
  decoder_ = register_module("decoder", torch::nn::ModuleList());
  decoder_norm_ = layer_norm(*this, "decoder_norm", o.width);
  for (std::int64_t i = 0; i < o.layers; ++i) {
    encoder_->push_back(TranslatorEncoderLayer(o));
    decoder_->push_back(TranslatorDecoderLayer(o));
  }
  initialise_translator(*this, o);
}

at::Tensor Translator::embed(const at::Tensor& tokens, std::int64_t first) {
  const auto scaled = embedding_(tokens) * std::sqrt(static_cast<double>(options_.width));
  const auto waves = position_waves(first, tokens.size(1), options_.width, scaled.options());
  return at::dropout(scaled + waves.to(scaled.scalar_type()), options_.dropout, is_training());
}

at::Tensor Translator::encode(const at::Tensor& tokens, const at::Tensor& mask) {
  auto x = embed(tokens, 0);
  const auto bias = attention_bias(mask, x.scalar_type());
  for (const auto& layer : *encoder_) {
    x = run_block({layer}, x, [layer, bias](const at::Tensor& in) {
      return layer->as<TranslatorEncoderLayer>()->forward(in, bias);
    });
  }
  return encoder_norm_(x);
}

at::Tensor Translator::logits(const at::Tensor& states) {
  return at::linear(decoder_norm_(states), embedding_->weight);
}

at::Tensor Translator::forward(const at::Tensor& tokens, const at::Tensor& mask,
                               const at::Tensor& prefix) {
  check_texts(options_, tokens, mask, prefix);
  const auto memory = encode(tokens, mask);
  const auto bias = attention_bias(mask, memory.scalar_type());
  auto x = embed(prefix, 0);
  for (const auto& layer : *decoder_) {
    const auto run = [layer, memory, bias](const at::Tensor& in) {
      return layer->as<TranslatorDecoderLayer>()->forward(in, memory, bias);
    };
    x = run_block({layer}, x, run, {memory});
  }
  return logits(x);
}

DecoderState Translator::start(const at::Tensor& tokens, const at::Tensor& mask) {
  check_texts(options_, tokens, mask, {});
  const auto memory = encode(tokens, mask);
  DecoderState state;
  state.bias = attention_bias(mask, memory.scalar_type());
  for (const auto& layer : *decoder_) {
    state.memory.push_back(layer->as<TranslatorDecoderLayer>()->keys_values(memory));
  }
  state.past.resize(decoder_->size());
  return state;
}

at::Tensor Translator::step(const at::Tensor& tokens, DecoderState& state) {
  if (state.length >= options_.positions) {
    throw Error("a token at place " + std::to_string(state.length),
                "at most " + std::to_string(options_.positions) + " positions", "translator");
  }
  const auto n = tokens.size(0), beams = tokens.size(1);
  auto x = embed(tokens.view({n * beams, 1}), state.length).view({n, beams, options_.width});
  std::size_t i = 0;
  for (const auto& layer : *decoder_) {
    x = layer->as<TranslatorDecoderLayer>()->step(x, state.past[i], state.memory[i], state.bias);
    ++i;
  }
  ++state.length;
  return logits(x);
}

}  // namespace halftone::models
