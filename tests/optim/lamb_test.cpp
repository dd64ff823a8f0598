#include "halftone/optim/lamb.h"

#include <cmath>

#include "tests/optim/lcg.h"
#include "tests/support/test.h"
#include "tests/support/tolerances.h"

namespace halftone::optim {
namespace {

using Weights = std::vector<at::Tensor>;

// You et al. 2020, algorithm 2, in fp64.
class Reference {
 public:
  Reference(const Weights& weights, LAMBOptions options) : options_(options) {
    for (const at::Tensor& each : weights) {
      weights_.push_back(each.detach().to(at::kDouble));
      m_.push_back(at::zeros_like(weights_.back()));
      v_.push_back(at::zeros_like(weights_.back()));
    }
  }

  void step(const Weights& gradients) {
    ++step_;
    const auto [beta1, beta2] = options_.betas;
    for (std::size_t i = 0; i < weights_.size(); ++i) {
      const at::Tensor g = gradients[i].to(at::kDouble);
      m_[i] = beta1 * m_[i] + (1 - beta1) * g;
      v_[i] = beta2 * v_[i] + (1 - beta2) * g * g;
      const at::Tensor r = m_[i] / (1 - std::pow(beta1, step_)) /
                           ((v_[i] / (1 - std::pow(beta2, step_))).sqrt() + options_.eps);
      const at::Tensor u = r + options_.weight_decay * weights_[i];
      const double length = weights_[i].norm().item<double>(), turn = u.norm().item<double>();
      const bool adapt = options_.weight_decay != 0 || options_.adapt_without_decay;
      const double trust = adapt && length > 0 && turn > 0 ? length / turn : 1;
      weights_[i] = weights_[i] - options_.lr * trust * u;
    }
  }

  const Weights& weights() const { return weights_; }

 private:
  LAMBOptions options_;
  Weights weights_, m_, v_;
  int step_ = 0;
};

void expect_follows(const LAMBOptions& options) {
  Lcg random(5);
  Weights weights = golden_weights(random);
  weights.push_back(at::zeros({4}).requires_grad_());  // |w| = 0: trust ratio 1
  LAMB optimizer(weights, options);
  Reference reference(weights, options);
  for (int step = 0; step < 100; ++step) {
    set_gradients(random, weights);
    Weights gradients;
    for (const at::Tensor& each : weights) gradients.push_back(each.grad());
    optimizer.step();
    reference.step(gradients);
  }
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const at::Tensor expected = reference.weights()[i];
    const double error = (weights[i].to(at::kDouble) - expected).norm().item<double>();
    EXPECT_LT(error, tolerance::kFp32 * expected.norm().item<double>()) << i;
  }
}

TEST(Lamb, FollowsTheFp64Reference) {
  expect_follows({.lr = 1e-2});
  expect_follows({.lr = 1e-2, .betas = {0.8, 0.95}, .weight_decay = 0.1});
}

TEST(Lamb, WithoutDecayTheTrustRatioIsOneUnlessAskedFor) {
  expect_follows({.lr = 1e-2, .weight_decay = 0});
  expect_follows({.lr = 1e-2, .weight_decay = 0, .adapt_without_decay = true});
}

}  // namespace
}  // namespace halftone::optim
