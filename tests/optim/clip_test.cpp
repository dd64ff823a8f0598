#include "halftone/optim/clip.h"

#include <torch/nn/utils/clip_grad.h>

#include <cmath>
#include <limits>

#include "tests/optim/lcg.h"
#include "tests/support/test.h"
#include "tests/support/tolerances.h"

namespace halftone::optim {
namespace {

using Weights = std::vector<at::Tensor>;

TEST(Clip, ByNormDoesWhatLibTorchDoes) {
  for (double max_norm : {0.3, 1000.0}) {
    Lcg a(1), b(1);
    Weights ours = golden_weights(a), theirs = golden_weights(b);
    set_gradients(a, ours);
    set_gradients(b, theirs);
    ours[1].mutable_grad().reset();
    theirs[1].mutable_grad().reset();
    const double norm = clip_grad_norm(ours, max_norm);
    const double expected = torch::nn::utils::clip_grad_norm_(theirs, max_norm);
    EXPECT_NEAR(norm, expected, tolerance::kFp32 * expected);
    for (std::size_t i : {0, 2}) {
      EXPECT_TRUE(at::allclose(ours[i].grad(), theirs[i].grad(), tolerance::kFp32, 0));
    }
  }
}

TEST(Clip, ByNormLeavesWhatIsNotFinite) {
  at::Tensor weight = at::zeros({3}).requires_grad_();
  weight.mutable_grad() = at::tensor({1.0f, INFINITY, 3.0f});
  EXPECT_FALSE(std::isfinite(clip_grad_norm({weight}, 1)));
  EXPECT_EQ(weight.grad()[2].item<float>(), 3);
  EXPECT_ERROR(clip_grad_norm({weight}, 1, true), "not finite");
}

TEST(Clip, ByValueBoundsEveryElement) {
  at::Tensor weight = at::zeros({3}, at::kHalf).requires_grad_();
  weight.mutable_grad() = at::tensor({-2.0f, 0.25f, 3.0f}).to(at::kHalf);
  clip_grad_value({weight, at::zeros({2})}, 0.5);
  EXPECT_TRUE(at::equal(weight.grad(), at::tensor({-0.5f, 0.25f, 0.5f}).to(at::kHalf)));
}

TEST(Clip, BoundsMustBePositive) {
  EXPECT_ERROR(clip_grad_norm({}, 0), "max_norm: 0; expected a number > 0");
  EXPECT_ERROR(clip_grad_value({}, std::nan("")), "clip_value");
  EXPECT_EQ(clip_grad_norm({}, 1), 0);
}

}  // namespace
}  // namespace halftone::optim
