#include <torch/torch.h>

#include "halftone/kernels/depthwise/depthwise.h"
#include "tests/ops/convolution_case.h"
#include "tests/ops/override_support.h"
#include "tests/support/tolerances.h"

namespace halftone {
namespace {

const ConvolutionCase kDepthwiseCases[] = {
    {"3x3", {2, 40, 9, 11}, {40, 1, 3, 3}, {1, 1}, {1, 1}, {1, 1}, false, {0, 0}, 40},
    {"stride 2", {2, 12, 9, 9}, {12, 1, 5, 5}, {2, 2}, {2, 2}, {1, 1}, false, {0, 0}, 12},
    {"multiplier", {2, 6, 8, 7}, {18, 1, 3, 3}, {1, 1}, {1, 1}, {1, 1}, false, {0, 0}, 6},
    {"dilated", {1, 17, 12, 12}, {17, 1, 3, 3}, {1, 1}, {2, 2}, {2, 2}, false, {0, 0}, 17},
    {"one dimension", {2, 20, 30}, {20, 1, 7}, {1}, {3}, {1}, false, {0}, 20},
    {"transposed", {2, 10, 5, 6}, {10, 1, 3, 3}, {2, 2}, {1, 1}, {1, 1}, true, {1, 1}, 10}};

std::uint64_t depthwise_runs() {
  return total_runs(kernels::depthwise_forward_ladder()) +
         total_runs(kernels::depthwise_backward_data_ladder()) +
         total_runs(kernels::depthwise_backward_weights_ladder());
}

TEST(DepthwiseOverride, OutputsAndGradientsMatchFp64InLibTorchsMemoryFormats) {
  const OverrideTest on;
  const Avx2Rung rung;
  for (const auto& c : kDepthwiseCases) {
    for (auto type : {at::kHalf, at::kBFloat16}) {
      for (auto format : formats_of(c)) {
        SCOPED_TRACE(std::string(c.name) + " in " + c10::toString(type));
        const double allowed =
            1.5 * (type == at::kHalf ? tolerance::kProductFp16 : tolerance::kProductBf16);
        const auto x = leaf(torch::randn(c.input).to(type).contiguous(format), type);
        const auto w = leaf(torch::randn(c.weight), type);
        const std::int64_t filters = c.transposed ? c.weight[1] * c.groups : c.weight[0];
        const auto bias = leaf(torch::randn({filters}), type);
        const auto runs = depthwise_runs();
        const auto y = run_case(c, x, w, bias);
        const auto g = torch::randn(y.sizes()).to(type).contiguous(format);
        y.backward(g);
        EXPECT_EQ(depthwise_runs(), runs + 3);
        EXPECT_TRUE(same_format(y, on.stock([&] { return run_case(c, x, w, bias); })));
        expect_fp64(c, x, w, bias, y, g, allowed);
      }
    }
  }
}

TEST(DepthwiseOverride, SecondDerivativesMatchFp64) {
  const OverrideTest on;
  const auto gradient_of_gradient = [](at::ScalarType type) {
    torch::manual_seed(3);
    const auto x = leaf(torch::randn({1, 6, 8, 8}).mul(0.3).to(at::kHalf), type);
    const auto w = leaf(torch::randn({6, 1, 3, 3}).mul(0.3).to(at::kHalf), type);
    const auto y = at::conv2d(x, w, {}, 1, 1, 1, 6).pow(2);
    const auto g = torch::autograd::grad({y.sum()}, {x}, {}, true, true)[0];
    return torch::autograd::grad({g.pow(2).sum()}, {w})[0].to(at::kDouble);
  };
  const auto runs = depthwise_runs();
  const auto got = gradient_of_gradient(at::kHalf);
  EXPECT_GE(depthwise_runs(), runs + 4);
  EXPECT_LE(convolution_error(got, gradient_of_gradient(at::kDouble)),
            5e-3);  // as Conv2dOverride: five half roundings of sums that partly cancel
}

// Where oneDNN has bf16 instructions it keeps the contiguous cases that it is faster at.
TEST(DepthwiseOverride, ViewsThreadsAndTheTopRungAgree) {
  const OverrideTest on;
  const auto x = torch::randn({2, 64, 20, 40}).to(at::kHalf);
  const auto view = x.slice(3, 0, 40, 2).slice(1, 3, 40);
  const auto w = torch::randn({37, 1, 3, 3}).to(at::kHalf);
  const auto run = [&](const at::Tensor& image) { return at::conv2d(image, w, {}, 1, 1, 1, 37); };
  const auto expected = run(view.contiguous());
  for (int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    EXPECT_TRUE(at::equal(run(view), expected));
  }
  for (auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
    const auto image = view.to(at::kBFloat16).contiguous(format);
    const auto exact =
        at::conv2d(image.to(at::kDouble), w.to(at::kBFloat16).to(at::kDouble), {}, 1, 1, 1, 37);
    const auto got = at::conv2d(image, w.to(at::kBFloat16), {}, 1, 1, 1, 37);
    EXPECT_LE(convolution_error(got, exact), 1.5 * tolerance::kProductBf16);
  }
}

}  // namespace
}  // namespace halftone
