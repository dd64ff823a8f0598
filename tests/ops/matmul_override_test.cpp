#include <torch/torch.h>

#include "halftone/kernels/product/product.h"
#include "tests/ops/override_support.h"
#include "tests/support/tolerances.h"

namespace halftone {
namespace {

std::uint64_t product_runs() { return total_runs(kernels::product_ladder()); }

// Of `got` (half) against `exact` (fp64), as 2-norms.
double matmul_error(const at::Tensor& got, const at::Tensor& exact) {
  return ((got.to(at::kDouble) - exact).norm() / exact.norm()).item<double>();
}

double allowed_error(at::ScalarType type) {
  return type == at::kHalf ? tolerance::kProductFp16 : tolerance::kProductBf16;
}

// A matrix of the sizes in every way that its memory may lie.
std::vector<at::Tensor> layouts(std::int64_t rows, std::int64_t columns, at::ScalarType type) {
  return {torch::randn({rows, columns}).to(type), torch::randn({columns, rows}).to(type).t(),
          torch::randn({rows, 2 * columns}).to(type).slice(1, 0, 2 * columns, 2),
          torch::randn({rows, columns + 3}).to(type).slice(1, 1, columns + 1),
          torch::randn({1, columns}).to(type).expand({rows, columns})};
}

TEST(MatmulOverride, MmMatchesFp64InEveryLayout) {
  const OverrideTest on;
  for (auto type : {at::kHalf, at::kBFloat16}) {
    for (const auto& a : layouts(33, 70, type)) {
      for (const auto& b : layouts(70, 45, type)) {
        const auto runs = product_runs();
        const auto c = at::mm(a, b);
        EXPECT_EQ(product_runs(), runs + 1);
        // Equal rows round alike: the error's mean is of fewer numbers.
        EXPECT_LE(matmul_error(c, at::mm(a.to(at::kDouble), b.to(at::kDouble))),
                  1.5 * allowed_error(type));
        EXPECT_TRUE(c.is_contiguous());
      }
    }
  }
}

TEST(MatmulOverride, AddmmTakesEveryAddendAndScale) {
  const OverrideTest on;
  for (auto type : {at::kHalf, at::kBFloat16}) {
    const auto a = torch::randn({20, 64}).to(type), b = torch::randn({48, 64}).to(type).t();
    for (const auto& self : {torch::randn({48}).to(type), torch::randn({20, 48}).to(type),
                             torch::randn({20, 1}).to(type), torch::randn({}).to(type),
                             torch::randn({48, 20}).to(type).t()}) {
      for (double beta : {0.0, 1.0, 0.25}) {
        const auto runs = product_runs();
        const auto c = at::addmm(self, a, b, beta, -2);
        EXPECT_EQ(product_runs(), runs + 1);
        const auto exact =
            at::addmm(self.to(at::kDouble), a.to(at::kDouble), b.to(at::kDouble), beta, -2);
        EXPECT_LE(matmul_error(c, exact), allowed_error(type));
      }
    }
  }
}

TEST(MatmulOverride, ABetaOfZeroIgnoresNanInTheAddend) {
  const OverrideTest on;
  const auto a = torch::randn({4, 8}).to(at::kHalf), b = torch::randn({8, 4}).to(at::kHalf);
  const auto nan = torch::full({4, 4}, NAN, at::kHalf);
  EXPECT_TRUE(at::addmm(nan, a, b, 0).isfinite().all().item<bool>());
}

TEST(MatmulOverride, OutFormsAndInPlaceFormsWriteWhereTheyShould) {
  const OverrideTest on;
  for (auto type : {at::kHalf, at::kBFloat16}) {
    const auto a = torch::randn({12, 20}).to(type), b = torch::randn({20, 16}).to(type);
    const auto expected = at::mm(a, b);
    auto out = torch::empty({12, 16}, type);
    const auto runs = product_runs();
    at::mm_out(out, a, b);
    EXPECT_EQ(product_runs(), runs + 1);
    EXPECT_TRUE(at::equal(out, expected));
    auto wider = torch::zeros({12, 20}, type);
    auto part = wider.slice(1, 2, 18);
    at::mm_out(part, a, b);
    EXPECT_TRUE(at::equal(wider.slice(1, 2, 18), expected));
    EXPECT_EQ(wider.slice(1, 0, 2).abs().sum().item<double>(), 0);
    auto sum = out.clone();
    sum.addmm_(a, b);
    EXPECT_LE(matmul_error(sum, 2 * expected.to(at::kDouble)), 3 * allowed_error(type));
    // Written while it is read: LibTorch's own kernel, whatever it gives.
    auto square = torch::randn({16, 16}).to(type);
    const auto other = torch::randn({16, 16}).to(type);
    const auto exact = at::mm(square.to(at::kDouble), other.to(at::kDouble));
    const auto before = product_runs();
    at::mm_out(square, square.clone(), other);
    EXPECT_EQ(product_runs(), before + 1);
    EXPECT_LE(matmul_error(square, exact), allowed_error(type));
  }
}

TEST(MatmulOverride, BatchesMatchFp64) {
  const OverrideTest on;
  for (auto type : {at::kHalf, at::kBFloat16}) {
    for (std::int64_t batch : {1, 3, 9}) {
      const auto a = torch::randn({batch, 17, 40}).to(type);
      const auto b = torch::randn({batch, 25, 40}).to(type).transpose(1, 2);
      const auto self = torch::randn({25}).to(type);
      const auto exact = at::bmm(a.to(at::kDouble), b.to(at::kDouble));
      EXPECT_LE(matmul_error(at::bmm(a, b), exact), allowed_error(type));
      EXPECT_LE(
          matmul_error(at::baddbmm(self, a, b, 0.5, 2), 0.5 * self.to(at::kDouble) + 2 * exact),
          allowed_error(type));
    }
  }
}

TEST(MatmulOverride, LinearLayersAndTheirGradientsRunOnIt) {
  const OverrideTest on;
  for (auto type : {at::kHalf, at::kBFloat16}) {
    torch::nn::Linear layer(24, 10);
    layer->to(type);
    const auto x = torch::randn({2, 7, 24}).to(type).requires_grad_();
    const auto runs = product_runs();
    const auto y = layer(x);
    y.pow(2).sum().backward();
    EXPECT_GE(product_runs(), runs + 3);
    const auto exact = [](const at::Tensor& tensor) {
      return tensor.detach().to(at::kDouble).requires_grad_();
    };
    const auto xd = exact(x), wd = exact(layer->weight), bd = exact(layer->bias);
    torch::nn::functional::linear(xd, wd, bd).pow(2).sum().backward();
    // The output's rounding and that of its square's gradient come on top.
    EXPECT_LE(matmul_error(x.grad(), xd.grad()), 3 * allowed_error(type));
    EXPECT_LE(matmul_error(layer->weight.grad(), wd.grad()), 3 * allowed_error(type));
  }
}

TEST(MatmulOverride, OtherFormatsAndErrorsAreLibTorchs) {
  const OverrideTest on;
  const auto a = torch::randn({5, 6}), b = torch::randn({6, 7});
  const auto run = [&] { return at::mm(a, b); };
  const auto runs = product_runs();
  EXPECT_TRUE(at::equal(run(), on.stock(run)));
  EXPECT_EQ(product_runs(), runs);
  for (const auto& wrong : {torch::randn({7, 6}).to(at::kHalf), torch::randn({6}).to(at::kHalf),
                            torch::randn({6, 7}).to(at::kBFloat16)}) {
    const auto text = [&] {
      try {
        at::mm(a.to(at::kHalf), wrong);
      } catch (const c10::Error& error) {
        return std::string(error.what_without_backtrace());
      }
      return std::string();
    };
    EXPECT_EQ(text(), on.stock(text));
    EXPECT_FALSE(text().empty());
  }
}

}  // namespace
}  // namespace halftone
