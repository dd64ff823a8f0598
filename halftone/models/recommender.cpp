#include "halftone/models/recommender.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/cat.h>

#include <sstream>
#include <utility>

#include "halftone/base/error.h"
#include "halftone/base/text.h"
#include "halftone/models/layers.h"
#include "halftone/ops/generator.h"
#include "halftone/optim/init.h"

namespace halftone::models {
namespace {

constexpr int kMlpLayers = 3;

const RecommenderOptions& checked(const RecommenderOptions& o) {
  const std::vector<std::string> names{"mf", "neumf"};
  if (o.name != "mf" && o.name != "neumf") {
    throw UsageError(quote(o.name), choices(o.name, names), "recommender");
  }
  const auto require = [&](bool right, const char* name, std::int64_t given, const char* expected) {
    if (!right) throw UsageError(std::to_string(given), expected, o.name + ", " + name);
  };
  require(o.users >= 1, "users", o.users, "1 or more");
  require(o.items >= 1, "items", o.items, "1 or more");
  require(o.factors >= 1, "factors", o.factors, "1 or more");
  require(o.name != "neumf" || o.factors % 4 == 0, "factors", o.factors, "a multiple of 4");
  return o;
}

void initialise_recommender(Recommender& model) {
  const RecommenderOptions& o = model.options();
  const init::Options how{o.init, at::make_generator<at::CPUGeneratorImpl>(o.seed)};
  for (auto& item : model.named_parameters()) {
    const std::string& name = item.key();
    if (name.find("bias") != std::string::npos) {
      item.value().detach().zero_();
    } else if (name.starts_with("user") || name.starts_with("item")) {
      init::normal_(item.value(), o.name == "mf" ? 0.1 : 0.01, how);
    } else {
      init::xavier_uniform_(item.value(), 1, how);
    }
  }
}

void check_range(const at::Tensor& numbers, std::int64_t count, const char* what) {
  if (numbers.numel() == 0) return;
  const auto least = numbers.min().item<std::int64_t>(), most = numbers.max().item<std::int64_t>();
  if (least >= 0 && most < count) return;
  throw Error(std::string(what) + " " + std::to_string(least < 0 ? least : most),
              "0 to " + std::to_string(count - 1), "recommender");
}

}  // namespace

at::Tensor Recommender::forward(const at::Tensor& pairs) {
  if (pairs.dim() < 1 || pairs.size(-1) != 2 || pairs.scalar_type() != at::kLong) {
    std::ostringstream given;
    given << "pairs " << pairs.sizes() << " of " << pairs.scalar_type();
    throw Error(given.str(), "(…, 2) of Long", "recommender");
  }
  const at::Tensor flat = pairs.reshape({-1, 2});
  const at::Tensor users = flat.select(1, 0), items = flat.select(1, 1);
  check_range(users, options_.users, "user");
  check_range(items, options_.items, "item");
  return score(users, items)
      .reshape(pairs.sizes().slice(0, static_cast<std::size_t>(pairs.dim() - 1)));
}

MatrixFactorization::MatrixFactorization(const RecommenderOptions& o)
    : Recommender(o),
      user_factors_(register_module("user_factors", torch::nn::Embedding(o.users, o.factors))),
      item_factors_(register_module("item_factors", torch::nn::Embedding(o.items, o.factors))),
      user_bias_(register_module("user_bias", torch::nn::Embedding(o.users, 1))),
      item_bias_(register_module("item_bias", torch::nn::Embedding(o.items, 1))) {}

at::Tensor MatrixFactorization::score(const at::Tensor& users, const at::Tensor& items) {
  const auto product = (user_factors_(users) * item_factors_(items)).sum(1);
  return product + user_bias_(users).squeeze(1) + item_bias_(items).squeeze(1) + options().mean;
}

NeuMf::NeuMf(const RecommenderOptions& o)
    : Recommender(o),
      user_gmf_(register_module("user_gmf", torch::nn::Embedding(o.users, o.factors))),
      item_gmf_(register_module("item_gmf", torch::nn::Embedding(o.items, o.factors))),
      user_mlp_(register_module("user_mlp", torch::nn::Embedding(o.users, o.factors))),
      item_mlp_(register_module("item_mlp", torch::nn::Embedding(o.items, o.factors))),
      mlp_(register_module("mlp", torch::nn::ModuleList())),
      head_(nullptr) {
  std::int64_t width = 2 * o.factors;
  for (int i = 0; i < kMlpLayers; ++i, width /= 2) {
    mlp_->push_back(torch::nn::Linear(width, width / 2));
  }
  head_ = register_module("head", nn::Linear(o.factors + width, 1));
}

at::Tensor NeuMf::score(const at::Tensor& users, const at::Tensor& items) {
  auto h = at::cat({user_mlp_(users), item_mlp_(items)}, 1);
  for (const auto& layer : *mlp_) {
    const auto* linear = layer->as<torch::nn::Linear>();
    h = at::linear(h, linear->weight, linear->bias).relu();
  }
  const auto gmf = user_gmf_(users) * item_gmf_(items);
  return head_(at::cat({gmf, h.to(gmf.scalar_type())}, 1)).squeeze(1);
}

std::shared_ptr<Recommender> make_recommender(const RecommenderOptions& options) {
  checked(options);
  const GeneratorKept kept;  // LibTorch's modules draw from it when they are made; that is replaced
  std::shared_ptr<Recommender> model;
  if (options.name == "mf") model = std::make_shared<MatrixFactorization>(options);
  if (options.name == "neumf") model = std::make_shared<NeuMf>(options);
  initialise_recommender(*model);
  return model;
}

}  // namespace halftone::models
