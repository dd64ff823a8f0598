#include "halftone/models/text_cnn.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/dropout.h>
#include <ATen/ops/relu.h>

#include <sstream>

#include "halftone/base/error.h"
#include "halftone/base/text.h"
#include "halftone/models/layers.h"
#include "halftone/ops/generator.h"
#include "halftone/optim/init.h"

namespace halftone::models {
namespace {

constexpr double kEmbeddingDeviation = 0.1;

const TextCnnOptions& checked(const TextCnnOptions& o) {
  const auto at_least_1 = [](const char* name, std::int64_t value) {
    if (value < 1) {
      throw UsageError(std::to_string(value), "1 or more", std::string("text cnn, ") + name);
    }
  };
  at_least_1("vocabulary", o.vocabulary);
  at_least_1("classes", o.classes);
  at_least_1("width", o.width);
  at_least_1("maps", o.maps);
  at_least_1("spans", static_cast<std::int64_t>(o.spans.size()));
  for (const std::int64_t span : o.spans) at_least_1("spans", span);
  if (!(o.dropout >= 0 && o.dropout < 1)) {
    throw UsageError(format_number(o.dropout), "0 or more, below 1", "text cnn, dropout");
  }
  return o;
}

void initialise_text_cnn(TextCnn& cnn, const TextCnnOptions& o) {
  const init::Options how{o.init, at::make_generator<at::CPUGeneratorImpl>(o.seed)};
  for (auto& item : cnn.named_parameters()) {
    if (item.key() == "embedding.weight") {
      init::normal_(item.value(), kEmbeddingDeviation, how);
    } else if (item.value().dim() >= 2) {
      init::kaiming_uniform_(item.value(), init::Fan::in, init::leaky_relu_gain(), how);
    } else {
      item.value().detach().zero_();
    }
  }
}

// (N,T,C) -> (N,T,span*C): each word with its neighbours, zeros beyond both ends.
at::Tensor neighbours(const at::Tensor& x, std::int64_t span) {
  const std::int64_t before = (span - 1) / 2;
  const auto padded = at::constant_pad_nd(x, {0, 0, before, span - 1 - before});
  return padded.unfold(1, span, 1).transpose(2, 3).flatten(2);
}

}  // namespace

TextCnn::TextCnn(const TextCnnOptions& options)
    : options_(checked(options)), embedding_(nullptr), fc_(nullptr) {
  const GeneratorKept kept;  // LibTorch's modules draw from it when they are made; that is replaced
  embedding_ =
      register_module("embedding", torch::nn::Embedding(options.vocabulary, options.width));
  convolutions_ = register_module("convolutions", torch::nn::ModuleList());
  for (const std::int64_t span : options.spans) {
    convolutions_->push_back(torch::nn::Linear(span * options.width, options.maps));
  }
  const auto spans = static_cast<std::int64_t>(options.spans.size());
  fc_ = register_module("fc", nn::Linear(spans * options.maps, options.classes));
  initialise_text_cnn(*this, options_);
}

at::Tensor TextCnn::forward(const at::Tensor& tokens, const at::Tensor& mask) {
  if (tokens.dim() != 2 || tokens.scalar_type() != at::kLong || tokens.size(1) < 1 ||
      mask.sizes() != tokens.sizes() || mask.scalar_type() != at::kBool) {
    std::ostringstream given;
    given << "tokens " << tokens.sizes() << " of " << tokens.scalar_type() << ", mask "
          << mask.sizes() << " of " << mask.scalar_type();
    throw Error(given.str(), "(N, T) of Long and (N, T) of Bool", "text cnn");
  }
  const auto there = mask.unsqueeze(2);
  const auto words = at::dropout(embedding_(tokens), options_.dropout, is_training()) * there;
  std::vector<at::Tensor> maxima;
  for (std::size_t i = 0; i < options_.spans.size(); ++i) {
    const auto* layer = convolutions_[i]->as<torch::nn::Linear>();
    const auto maps = at::linear(neighbours(words, options_.spans[i]), layer->weight, layer->bias);
    maxima.push_back(at::amax(at::relu(maps) * there, {1}));  // at least 0: absent ones don't count
  }
  return fc_(at::dropout(at::cat(maxima, 1), options_.dropout, is_training()));
}

}  // namespace halftone::models
