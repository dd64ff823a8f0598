// Recommenders: what a user thinks of an item, from numbers that are learned for both.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/embedding.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/nn/layers.h"
#include "halftone/precision/format.h"

namespace halftone::models {

struct RecommenderOptions {
  std::string name = "mf";            // mf or neumf
  std::int64_t users = 0, items = 0;  // pairs are numbered from 0
  std::int64_t factors = 32;   // numbers per user and item; of neumf in each of its two parts
  double mean = 0;             // of mf: what a pair of unknowns gets
  std::uint64_t seed = 0;      // of the initial weights; LibTorch's own generator is not touched
  Format init = Format::fp32;  // in which they are drawn: fp32 or fp64
};

class HALFTONE_API Recommender : public torch::nn::Module {
 public:
  // pairs: (…, 2) int64, user and item -> (…), a rating (mf) or the logit of "will take it"
  // (neumf). Throws Error for another shape or type and for numbers out of range. Thread-safe in
  // evaluation mode.
  at::Tensor forward(const at::Tensor& pairs);

  const RecommenderOptions& options() const { return options_; }

 protected:
  explicit Recommender(RecommenderOptions options) : options_(std::move(options)) {}
  virtual at::Tensor score(const at::Tensor& users, const at::Tensor& items) = 0;  // (N), (N)

 private:
  RecommenderOptions options_;
};

// mean + user's bias + item's bias + the product of both's factors (Koren, Bell, Volinsky, Computer
// 42(8), 2009, equation 4).
class MatrixFactorization : public Recommender {
 public:
  explicit MatrixFactorization(const RecommenderOptions& options);

 protected:
  at::Tensor score(const at::Tensor& users, const at::Tensor& items) override;

 private:
  torch::nn::Embedding user_factors_, item_factors_, user_bias_, item_bias_;
};

// Factors multiplied element by element beside an MLP over other factors of both, layers halving
// from 2 factors to factors / 4, and one linear layer over both parts (He et al., "Neural
// collaborative filtering", WWW 2017, 3.4).
class NeuMf : public Recommender {
 public:
  explicit NeuMf(const RecommenderOptions& options);

 protected:
  at::Tensor score(const at::Tensor& users, const at::Tensor& items) override;

 private:
  torch::nn::Embedding user_gmf_, item_gmf_, user_mlp_, item_mlp_;
  torch::nn::ModuleList mlp_;
  nn::Linear head_;
};

// Weights depend on the options alone: factors normal with deviation 0.1 (mf) or 0.01 (neumf),
// biases 0, linear layers Xavier uniform. Throws UsageError for options that make no sense.
HALFTONE_API std::shared_ptr<Recommender> make_recommender(const RecommenderOptions& options);

}  // namespace halftone::models
