#include <torch/torch.h>

#include "halftone/kernels/upsample/upsample.h"
#include "tests/ops/override_support.h"
#include "tests/support/rungs.h"
#include "tests/support/tolerances.h"

namespace halftone {
namespace {

using torch::Tensor;

// Sizes of the output, or factors where there are any.
struct UpsampleCase {
  bool align_corners;
  std::vector<std::int64_t> input;
  std::vector<std::int64_t> size;
  std::vector<double> factors;
};

const UpsampleCase kUpsampleCases[] = {
    {false, {2, 17, 7, 9}, {14, 18}, {}}, {false, {1, 40, 6, 5}, {}, {1.7, 2.3}},
    {false, {2, 3, 20, 19}, {7, 40}, {}}, {false, {1, 4, 5, 6}, {5, 6}, {}},
    {false, {1, 4, 1, 1}, {5, 40}, {}},   {false, {1, 33, 8, 9}, {}, {2, 0.6}},
    {true, {2, 17, 7, 9}, {14, 18}, {}},  {true, {1, 3, 20, 19}, {7, 70}, {}},
    {true, {2, 8, 6, 6}, {1, 12}, {}},    {true, {1, 20, 6, 5}, {}, {1.7, 2.3}}};

Tensor run_upsample_case(const UpsampleCase& c, const Tensor& x) {
  at::OptionalIntArrayRef size;
  std::optional<at::ArrayRef<double>> factors;
  if (c.factors.empty()) {
    size = c.size;
  } else {
    factors = c.factors;
  }
  return at::upsample_bilinear2d(x, size, c.align_corners, factors);
}

// Gradients: of the sum of magnitudes, which the gradient of |g| is, since no weight is negative.
TEST(UpsampleOverride, ValuesAndGradientsMatchFp64OnEveryRungInLibTorchsMemoryFormats) {
  const OverrideTest on;
  for_each_rung(kernels::upsample_backward_ladder(), [&](Isa) {
    for (const auto& c : kUpsampleCases) {
      for (auto type : {at::kHalf, at::kBFloat16}) {
        for (auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
          SCOPED_TRACE(testing::Message()
                       << "align " << c.align_corners << " from " << c.input[2] << "x" << c.input[3]
                       << " last " << (format != at::MemoryFormat::Contiguous));
          const double u = type == at::kHalf ? tolerance::kFp16Unit : tolerance::kBf16Unit;
          const auto x = at::randn(c.input).to(type).contiguous(format).requires_grad_();
          const auto runs = total_runs(kernels::upsample_ladder());
          const auto y = run_upsample_case(c, x);
          EXPECT_EQ(total_runs(kernels::upsample_ladder()), runs + 1);
          const auto stock = on.stock([&] { return run_upsample_case(c, x.detach()); });
          EXPECT_EQ(y.sizes(), stock.sizes());
          EXPECT_EQ(y.strides(), stock.strides());
          const auto xd = x.detach().to(at::kDouble).requires_grad_();
          const auto exact = run_upsample_case(c, xd);
          const auto near = [&](const Tensor& got, const Tensor& wanted, const Tensor& size) {
            const auto bound = wanted.abs() * u + size * tolerance::kFp32 + 0x1p-24;
            return ((got.to(at::kDouble) - wanted).abs() <= bound).all().item<bool>();
          };
          const auto size_of_y = run_upsample_case(c, xd.detach().abs());
          EXPECT_TRUE(near(y.detach(), exact.detach(), size_of_y));
          const auto g = at::randn(y.sizes()).to(type).contiguous(format);
          y.backward(g);
          const auto gd = g.to(at::kDouble);
          const auto wanted = torch::autograd::grad({exact}, {xd}, {gd}, true)[0];
          const auto size = torch::autograd::grad({exact}, {xd}, {gd.abs()})[0];
          EXPECT_TRUE(near(x.grad(), wanted, size));
        }
      }
    }
  });
}

TEST(UpsampleOverride, InfinityAndNanReachWhatSeesThemWithAWeight) {
  const OverrideTest on;
  for_each_rung(kernels::upsample_ladder(), [&](Isa) {
    for (auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
      auto x = at::randn({1, 18, 5, 8}).to(at::kHalf);
      x[0][17][2][3] = std::numeric_limits<double>::infinity();
      x[0][17][2][4] = std::nan("");
      const auto image = x.contiguous(format);
      for (bool align : {false, true}) {
        const auto y = at::upsample_bilinear2d(image, {9, 15}, align);
        const auto seen =
            at::upsample_bilinear2d(x.isfinite().logical_not().to(at::kDouble), {9, 15}, align);
        EXPECT_TRUE(at::equal(y.isfinite(), seen == 0));
      }
    }
  });
}

TEST(UpsampleOverride, SecondDerivativesThreadsAndViews) {
  const OverrideTest on;
  const auto x = at::randn({2, 32, 30, 40}).to(at::kHalf).requires_grad_();
  const auto y = at::upsample_bilinear2d(x, {60, 80}, false).pow(2);
  const auto g = torch::autograd::grad({y.sum()}, {x}, {}, true, true)[0];
  EXPECT_TRUE(torch::autograd::grad({g.pow(2).sum()}, {x})[0].isfinite().all().item<bool>());
  const auto view = x.detach().slice(3, 0, 40, 2);
  for (auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
    const auto up = [&](const Tensor& image) {
      return at::upsample_bilinear2d(image, {61, 83}, true);
    };
    const auto down = [&] {
      return at::upsample_bilinear2d_backward(x.detach(), {30, 40}, {2, 32, 13, 19}, false);
    };
    at::set_num_threads(1);
    const auto expected = up(view.contiguous(format)), back = down();
    for (int threads : {2, 3}) {
      at::set_num_threads(threads);
      EXPECT_TRUE(at::equal(up(view.contiguous(format)), expected));
      EXPECT_TRUE(at::equal(down(), back));
    }
  }
  EXPECT_TRUE(at::equal(at::upsample_bilinear2d(view, {60, 40}, false),
                        at::upsample_bilinear2d(view.contiguous(), {60, 40}, false)));
}

TEST(UpsampleOverride, OtherCasesAndErrorsAreLibTorchs) {
  const OverrideTest on;
  const auto runs = total_runs(kernels::upsample_ladder());
  const auto half = at::randn({2, 3, 8, 8}).to(at::kHalf);
  for (const auto& c : kUpsampleCases) {
    const auto single = [&] { return run_upsample_case(c, at::ones(c.input)); };
    EXPECT_TRUE(at::equal(single(), on.stock(single)));
  }
  const auto empty = [&] { return at::upsample_bilinear2d(half.slice(0, 0, 0), {4, 4}, false); };
  EXPECT_EQ(empty().sizes(), on.stock(empty).sizes());
  on.expect_same_error([&] { at::upsample_bilinear2d(half, {4}, false); });
  on.expect_same_error([&] { at::upsample_bilinear2d(half, {0, 4}, false); });
  on.expect_same_error([&] { at::upsample_bilinear2d(half[0], {4, 4}, false); });
  on.expect_same_error([&] {
    at::upsample_bilinear2d_backward(half, {4, 4}, {2, 3, 2, 2}, false);
  });
  EXPECT_EQ(total_runs(kernels::upsample_ladder()), runs);
}

}  // namespace
}  // namespace halftone
