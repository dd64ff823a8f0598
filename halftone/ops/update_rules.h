// From an optimizer's hyperparameters to the numbers of one update, in fp64.
#pragma once

#include <cmath>
#include <cstdint>

#include "halftone/kernels/optimizer/optimizer.h"

namespace halftone::ops {

using Numbers = kernels::BasicUpdateNumbers<double>;

// torch.optim.SGD (Sutskever et al. 2013, as PyTorch writes it). first: no momentum buffer yet.
inline Numbers sgd_numbers(double lr, double momentum, double dampening, double weight_decay,
                           bool nesterov, bool first) {
  Numbers n;
  n.l2 = weight_decay;
  n.step_size = lr;
  n.momentum = momentum;
  n.undampened = 1 - dampening;
  n.nesterov = nesterov;
  n.first = first;
  return n;
}

// Kingma, Ba 2015, algorithm 1; decoupled: Loshchilov, Hutter 2019, algorithm 2. step: from 1.
inline Numbers adam_numbers(double lr, double beta1, double beta2, double eps, double weight_decay,
                            bool decoupled, std::int64_t step) {
  const auto t = static_cast<double>(step);
  Numbers n;
  n.l2 = decoupled ? 0 : weight_decay;
  n.keep = decoupled ? 1 - lr * weight_decay : 1;
  n.one_minus_beta1 = 1 - beta1;
  n.beta2 = beta2;
  n.one_minus_beta2 = 1 - beta2;
  n.eps = eps;
  n.root_correction = 1 / std::sqrt(1 - std::pow(beta2, t));
  n.correction = 1 / (1 - std::pow(beta1, t));
  n.step_size = lr * n.correction;
  return n;
}

// You et al. 2020, algorithm 2. step_size is without the trust ratio, which comes from the norms of
// the direction pass.
inline Numbers lamb_numbers(double lr, double beta1, double beta2, double eps, double weight_decay,
                            std::int64_t step) {
  Numbers n = adam_numbers(lr, beta1, beta2, eps, 0, true, step);
  n.decay = weight_decay;
  n.step_size = lr;
  return n;
}

// The trust ratio |w| / |u|, 1 where either is 0 (You et al. 2020, with phi the identity).
inline double trust_ratio(double weight_norm, double direction_norm) {
  return weight_norm > 0 && direction_norm > 0 ? weight_norm / direction_norm : 1;
}

}  // namespace halftone::ops
