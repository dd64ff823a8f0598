#include "halftone/models/gpt.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/dropout.h>
#include <ATen/ops/gelu.h>

#include <cmath>
#include <sstream>

#include "halftone/base/error.h"
#include "halftone/base/text.h"
#include "halftone/models/layers.h"
#include "halftone/nn/attention.h"
#include "halftone/ops/generator.h"
#include "halftone/optim/init.h"

namespace halftone::models {
namespace {

constexpr double kDeviation = 0.02;  // of initial weights (Radford et al. 2018, 4.1)

const GptOptions& checked(const GptOptions& o) {
  const auto at_least_1 = [](const char* name, std::int64_t value) {
    if (value < 1)
      throw UsageError(std::to_string(value), "1 or more", std::string("gpt, ") + name);
  };
  at_least_1("vocabulary", o.vocabulary);
  at_least_1("context", o.context);
  at_least_1("layers", o.layers);
  at_least_1("heads", o.heads);
  at_least_1("width", o.width);
  if (o.width % o.heads != 0) {
    throw UsageError(std::to_string(o.width),
                     "a multiple of the " + std::to_string(o.heads) + " heads", "gpt, width");
  }
  if (!(o.dropout >= 0 && o.dropout < 1)) {
    throw UsageError(format_number(o.dropout), "0 or more, below 1", "gpt, dropout");
  }
  return o;
}

void initialise(Gpt& gpt) {
  const GptOptions& o = gpt.options();
  const init::Options how{o.init, at::make_generator<at::CPUGeneratorImpl>(o.seed)};
  const double residual = kDeviation / std::sqrt(2 * static_cast<double>(o.layers));
  for (auto& item : gpt.named_parameters()) {
    const std::string& name = item.key();
    if (item.value().dim() >= 2) {
      init::normal_(item.value(), name.ends_with("proj.weight") ? residual : kDeviation, how);
    } else if (name.ends_with("bias")) {
      item.value().detach().zero_();
    }
  }
}

}  // namespace

GptBlockImpl::GptBlockImpl(const GptOptions& o)
    : heads_(o.heads),
      dropout_(o.dropout),
      ln_1(register_module("ln_1", torch::nn::LayerNorm(torch::nn::LayerNormOptions({o.width})))),
      ln_2(nullptr),
      c_attn(register_module("c_attn", nn::Linear(o.width, 3 * o.width))),
      attn_proj(register_module("attn_proj", nn::Linear(o.width, o.width))),
      c_fc(nullptr),
      mlp_proj(nullptr) {
  ln_2 = register_module("ln_2", torch::nn::LayerNorm(torch::nn::LayerNormOptions({o.width})));
  c_fc = register_module("c_fc", nn::Linear(o.width, 4 * o.width));
  mlp_proj = register_module("mlp_proj", nn::Linear(4 * o.width, o.width));
}

at::Tensor GptBlockImpl::attend(const at::Tensor& x) {
  return attn_proj(nn::attention(c_attn(x), {.heads = heads_, .causal = true}));
}

at::Tensor GptBlockImpl::forward(const at::Tensor& x) {
  const auto h = x + at::dropout(attend(ln_1(x)), dropout_, is_training());
  const auto mlp = mlp_proj(at::gelu(c_fc(ln_2(h))));
  return h + at::dropout(mlp, dropout_, is_training());
}

Gpt::Gpt(const GptOptions& options)
    : options_(checked(options)), wte_(nullptr), wpe_(nullptr), ln_f_(nullptr), lm_head_(nullptr) {
  const GeneratorKept kept;  // LibTorch's modules draw from it when they are made; that is replaced
  wte_ = register_module("wte", torch::nn::Embedding(options.vocabulary, options.width));
  wpe_ = register_module("wpe", torch::nn::Embedding(options.context, options.width));
  blocks_ = register_module("h", torch::nn::ModuleList());
  for (std::int64_t i = 0; i < options.layers; ++i) blocks_->push_back(GptBlock(options));
  ln_f_ =
      register_module("ln_f", torch::nn::LayerNorm(torch::nn::LayerNormOptions({options.width})));
  if (!options.tied_head) {
    lm_head_ = register_module(
        "lm_head",
        nn::Linear(torch::nn::LinearOptions(options.width, options.vocabulary).bias(false)));
  }
  initialise(*this);
}

at::Tensor Gpt::forward(const at::Tensor& tokens) {
  if (tokens.dim() != 2 || tokens.scalar_type() != at::kLong || tokens.size(1) > options_.context) {
    std::ostringstream given;
    given << "tokens " << tokens.sizes() << " of " << tokens.scalar_type();
    throw Error(given.str(),
                "(N, T) of Long, T at most the " + std::to_string(options_.context) + " positions",
                "gpt");
  }
  const auto positions = at::arange(tokens.size(1), tokens.options());
  auto x = at::dropout(wte_(tokens) + wpe_(positions), options_.dropout, is_training());
  for (const auto& block : *blocks_) {
    x = run_block({block}, x,
                  [block](const at::Tensor& in) { return block->as<GptBlock>()->forward(in); });
  }
  return at::linear(ln_f_(x), lm_head_ ? lm_head_->weight : wte_->weight);
}

}  // namespace halftone::models
