#include "halftone/models/layers.h"

#include <ATen/ops/adaptive_avg_pool2d.h>
#include <ATen/ops/max_pool2d.h>

#include "halftone/nn/recipe.h"

namespace halftone::models {

namespace {

// What a block gave is computed again for backward (nn/recipe.h).
at::Tensor max_pool(const at::Tensor& x, std::int64_t kernel, std::int64_t padding,
                    bool ceil_mode) {
  const at::Tensor y = at::max_pool2d(x, kernel, 2, padding, 1, ceil_mode);
  nn::recompute_input(y, x);
  return y;
}

}  // namespace

torch::nn::Conv2dOptions conv_options(std::int64_t in, std::int64_t out, std::int64_t kernel,
                                      std::int64_t stride) {
  return torch::nn::Conv2dOptions(in, out, kernel).stride(stride).padding(kernel / 2).bias(false);
}

at::Tensor stem_pool(const at::Tensor& x) { return max_pool(x, 3, 1, /*ceil_mode=*/false); }

at::Tensor pool_by_two(const at::Tensor& x, bool round_up) { return max_pool(x, 2, 0, round_up); }

at::Tensor global_mean(const at::Tensor& x) {
  return at::adaptive_avg_pool2d(x, {1, 1}).flatten(1);
}

}  // namespace halftone::models
