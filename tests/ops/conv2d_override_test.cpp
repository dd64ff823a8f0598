#include <torch/torch.h>

#include <array>
#include <iterator>
#include <limits>
#include <tuple>
#include <vector>

#include "halftone/kernels/product/product.h"
#include "tests/ops/convolution_case.h"
#include "tests/ops/override_support.h"
#include "tests/support/tolerances.h"

namespace halftone {
namespace {

const ConvolutionCase kConvolutionCases[] = {
    {"3x3", {2, 9, 8, 7}, {12, 9, 3, 3}, {1, 1}, {1, 1}, {1, 1}},
    {"1x1", {2, 20, 6, 6}, {12, 20, 1, 1}, {1, 1}, {0, 0}, {1, 1}},
    {"stride 2", {2, 8, 9, 9}, {16, 8, 3, 3}, {2, 2}, {1, 1}, {1, 1}},
    {"dilated", {2, 8, 11, 11}, {16, 8, 3, 3}, {1, 2}, {2, 0}, {2, 3}},
    {"groups", {1, 512, 4, 4}, {512, 256, 2, 2}, {1, 1}, {1, 1}, {1, 1}, false, {0, 0}, 2},
    {"one number for both axes", {2, 9, 8, 8}, {12, 9, 3, 3}, {2}, {1}, {1}},
    {"one dimension", {2, 9, 20}, {12, 9, 5}, {2}, {2}, {1}},
    {"transposed", {2, 10, 5, 6}, {10, 14, 3, 3}, {2, 2}, {1, 1}, {1, 1}, true, {1, 1}},
    {"transposed groups",
     {1, 512, 4, 5},
     {512, 256, 1, 2},
     {1, 2},
     {0, 1},
     {1, 1},
     true,
     {0, 1},
     2}};

// Few channels or filters, in groups or without, in batches of one piece and of several.
const ConvolutionCase kNarrowCases[] = {
    {"2 a group", {2, 12, 9, 9}, {12, 2, 3, 3}, {2, 2}, {1, 1}, {1, 1}, false, {0, 0}, 6},
    {"8 a group", {3, 32, 8, 8}, {16, 8, 3, 3}, {1, 1}, {1, 1}, {1, 1}, false, {0, 0}, 4},
    {"16 a group, 1x1", {2, 32, 7, 7}, {32, 16, 1, 1}, {1, 1}, {0, 0}, {1, 1}, false, {0, 0}, 2},
    {"several pieces", {5, 16, 160, 160}, {16, 4, 3, 3}, {1, 1}, {1, 1}, {1, 1}, false, {0, 0}, 4},
    {"one dimension", {2, 24, 20}, {24, 8, 5}, {1}, {2}, {1}, false, {0}, 3},
    {"3 channels", {2, 3, 12, 11}, {40, 3, 7, 7}, {2, 2}, {3, 3}, {1, 1}},
    {"1 filter", {2, 40, 12, 11}, {1, 40, 3, 3}, {1, 1}, {1, 1}, {1, 1}},
    {"transposed, 1 filter", {2, 20, 7, 6}, {20, 1, 4, 4}, {2, 2}, {1, 1}, {1, 1}, true, {0, 0}},
    {"transposed", {3, 24, 8, 8}, {24, 8, 3, 3}, {2, 2}, {1, 1}, {1, 1}, true, {1, 1}, 3}};

TEST(Conv2dOverride, OutputsAndGradientsMatchFp64InBothMemoryFormats) {
  const OverrideTest on;
  const Avx2Rung rung;
  for (const auto& c : kConvolutionCases) {
    for (auto type : {at::kHalf, at::kBFloat16}) {
      for (auto x_format : formats_of(c)) {
        for (auto w_format : formats_of(c)) {
          SCOPED_TRACE(std::string(c.name) + " in " + c10::toString(type));
          const double allowed =
              1.5 * (type == at::kHalf ? tolerance::kProductFp16 : tolerance::kProductBf16);
          const auto x = leaf(torch::randn(c.input).to(type).contiguous(x_format), type);
          const auto w = leaf(torch::randn(c.weight).to(type).contiguous(w_format), type);
          const std::int64_t filters = c.transposed ? c.weight[1] * c.groups : c.weight[0];
          const auto bias = leaf(torch::randn({filters}), type);
          const auto runs = total_runs(kernels::product_ladder());
          const auto y = run_case(c, x, w, bias);
          const auto g = torch::randn(y.sizes()).to(type);
          y.backward(g);
          EXPECT_GE(total_runs(kernels::product_ladder()), runs + 3);
          expect_fp64(c, x, w, bias, y, g, allowed);
        }
      }
    }
  }
}

// On every rung: LibTorch's bf16 kernel leaves what was in memory in such a weight's gradient.
TEST(Conv2dOverride, AWeightThatMeetsPaddingAloneHasNoGradient) {
  const OverrideTest on;
  const auto x = torch::randn({2, 31, 2, 1}).to(at::kBFloat16);
  for (int i = 0; i < 20; ++i) {
    const auto w = torch::randn({61, 31, 1, 3}).to(at::kBFloat16).requires_grad_();
    // For the allocator to hand out again.
    for (int k = 0; k < 4; ++k) at::full_like(w, std::numeric_limits<float>::quiet_NaN());
    at::conv2d(x, w, {}, {1, 2}, at::IntArrayRef{0, 2}).sum().backward();
    ASSERT_EQ(w.grad().select(3, 1).abs().max().item<float>(), 0);
  }
}

void expect_formats_of_stock(const OverrideTest& on, const ConvolutionCase& c,
                             at::MemoryFormat x_format, at::MemoryFormat w_format) {
  SCOPED_TRACE(c.name);
  const auto x = torch::randn(c.input).to(at::kBFloat16).contiguous(x_format);
  const auto w = torch::randn(c.weight).to(at::kBFloat16).contiguous(w_format);
  const auto forward = [&] { return run_case(c, x, w, {}); };
  const auto y = forward();
  EXPECT_TRUE(same_format(y, on.stock(forward)));
  const auto g = torch::randn(y.sizes()).to(at::kBFloat16).contiguous(x_format);
  const auto backward = [&] {
    return at::convolution_backward(g, x, w, c10::nullopt, c.stride, c.padding, c.dilation,
                                    c.transposed, c.output_padding, c.groups, {true, true, false});
  };
  const auto own = backward(), stock = on.stock(backward);
  EXPECT_TRUE(same_format(std::get<0>(own), std::get<0>(stock)));
  EXPECT_TRUE(same_format(std::get<1>(own), std::get<1>(stock)));
}

TEST(Conv2dOverride, MemoryFormatsAreLibTorchs) {
  const OverrideTest on;
  const Avx2Rung rung;
  std::vector<ConvolutionCase> cases(std::begin(kConvolutionCases), std::end(kConvolutionCases));
  cases.insert(cases.end(), std::begin(kNarrowCases), std::end(kNarrowCases));
  for (const auto& c : cases) {
    for (auto x_format : formats_of(c)) {
      for (auto w_format : formats_of(c)) expect_formats_of_stock(on, c, x_format, w_format);
    }
  }
}

TEST(Conv2dOverride, SecondDerivativesMatchFp64) {
  const OverrideTest on;
  const auto gradient_of_gradient = [](at::ScalarType type) {
    torch::manual_seed(3);
    const auto x = leaf(torch::randn({1, 6, 6, 6}).mul(0.1).to(at::kHalf), type);
    const auto w = leaf(torch::randn({8, 6, 3, 3}).mul(0.1).to(at::kHalf), type);
    const auto y = at::conv2d(x, w).pow(2);
    const auto g = torch::autograd::grad({y.sum()}, {x}, {}, true, true)[0];
    return torch::autograd::grad({g.pow(2).sum()}, {w})[0].to(at::kDouble);
  };
  EXPECT_LE(convolution_error(gradient_of_gradient(at::kHalf), gradient_of_gradient(at::kDouble)),
            5e-3);  // five half roundings of sums that partly cancel
}

TEST(Conv2dOverride, FewChannelsOrFiltersAreComputedInFp32) {
  const OverrideTest on;
  const Avx2Rung rung;
  for (const auto& c : kNarrowCases) {
    for (auto type : {at::kHalf, at::kBFloat16}) {
      for (auto format : formats_of(c)) {
        SCOPED_TRACE(std::string(c.name) + " in " + c10::toString(type));
        const auto x = leaf(torch::randn(c.input).to(type).contiguous(format), type);
        const auto w = leaf(torch::randn(c.weight).to(type), type);
        const auto b =
            leaf(torch::randn({c.transposed ? c.weight[1] * c.groups : c.weight[0]}), type);
        const auto runs = total_runs(kernels::product_ladder());
        const auto y = run_case(c, x, w, b);
        const auto g = torch::randn(y.sizes()).to(type);
        y.backward(g);
        EXPECT_EQ(total_runs(kernels::product_ladder()), runs);
        EXPECT_TRUE(y.is_contiguous(format));
        expect_fp64(c, x, w, b, y, g,
                    type == at::kHalf ? tolerance::kProductFp16 : tolerance::kProductBf16);
      }
    }
  }
}

// First layers of image networks at training's batches. oneDNN's weight gradients of such shapes
// have their threads wait for each other: called from a parallel region they never returned, or
// gave infinities.
TEST(Conv2dOverride, FirstLayersTrainOnTwoThreads) {
  const OverrideTest on;
  const int threads = at::get_num_threads();
  at::set_num_threads(2);
  for (const ConvolutionCase& c :
       {ConvolutionCase{"grey", {64, 1, 28, 28}, {32, 1, 5, 5}, {1, 1}, {2, 2}, {1, 1}},
        ConvolutionCase{"colour", {64, 3, 32, 32}, {64, 3, 3, 3}, {1, 1}, {1, 1}, {1, 1}}}) {
    SCOPED_TRACE(c.name);
    const auto x = leaf(torch::randn(c.input), at::kHalf),
               w = leaf(torch::randn(c.weight), at::kHalf);
    const auto b = leaf(torch::randn({c.weight[0]}), at::kHalf);
    const auto y = run_case(c, x, w, b);
    const auto g = torch::randn(y.sizes()).to(at::kHalf);
    y.backward(g);
    expect_fp64(c, x, w, b, y, g, tolerance::kProductFp16);
  }
  at::set_num_threads(threads);
}

TEST(Conv2dOverride, EachGradientOfNarrowGroupsAlone) {
  const OverrideTest on;
  for (auto type : {at::kHalf, at::kBFloat16}) {
    const auto x = torch::randn({2, 32, 8, 8}).to(type), w = torch::randn({32, 2, 3, 3}).to(type);
    const auto g = torch::randn({2, 32, 8, 8}).to(type);
    const auto gradients = [&](std::array<bool, 3> wanted) {
      return at::convolution_backward(g, x, w, at::IntArrayRef{32}, {1, 1}, {1, 1}, {1, 1}, false,
                                      {0, 0}, 16, wanted);
    };
    const auto [dx, dw, db] = gradients({true, true, true});
    const auto of_x = gradients({true, false, false}), of_w = gradients({false, true, false}),
               of_b = gradients({false, false, true});
    EXPECT_TRUE(at::equal(std::get<0>(of_x), dx) && !std::get<1>(of_x).defined());
    EXPECT_TRUE(at::equal(std::get<1>(of_w), dw) && !std::get<0>(of_w).defined());
    EXPECT_TRUE(at::equal(std::get<2>(of_b), db) && !std::get<1>(of_b).defined());
  }
}

TEST(Conv2dOverride, ErrorsAndOtherFormatsAreLibTorchs) {
  const OverrideTest on;
  const auto text = [&](const at::Tensor& x, const at::Tensor& w, std::int64_t padding,
                        std::int64_t groups) {
    try {
      at::conv2d(x, w, {}, 1, padding, 1, groups);
    } catch (const c10::Error& error) {
      return std::string(error.what_without_backtrace());
    }
    return std::string();
  };
  const auto x = torch::randn({1, 6, 5, 5}).to(at::kHalf);
  const auto expect_same = [&](const at::Tensor& w, std::int64_t padding, std::int64_t groups) {
    const auto run = [&] { return text(x, w, padding, groups); };
    EXPECT_EQ(run(), on.stock(run));
    EXPECT_FALSE(run().empty());
  };
  expect_same(torch::randn({8, 5, 3, 3}).to(at::kHalf), 0, 1);      // channels
  expect_same(torch::randn({8, 6, 3, 3}).to(at::kHalf), -1, 1);     // negative padding
  expect_same(torch::randn({8, 2, 3, 3}).to(at::kHalf), 0, 4);      // groups that don't divide
  expect_same(torch::randn({8, 6, 9, 9}).to(at::kHalf), 0, 1);      // window beyond the image
  expect_same(torch::randn({8, 6, 3, 3}).to(at::kBFloat16), 0, 1);  // mixed formats
  const auto single = torch::randn({1, 6, 5, 5}), w = torch::randn({4, 6, 3, 3});
  const auto run = [&] { return at::conv2d(single, w); };
  const auto runs = total_runs(kernels::product_ladder());
  EXPECT_TRUE(at::equal(run(), on.stock(run)));
  EXPECT_EQ(total_runs(kernels::product_ladder()), runs);
}

}  // namespace
}  // namespace halftone
