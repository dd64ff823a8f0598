#include "halftone/kernels/product/product.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "halftone/kernels/product/packed.h"
#include "tests/kernels/half_matrix.h"
#include "tests/support/rungs.h"
#include "tests/support/test.h"

namespace halftone::kernels {
namespace {

struct ProductCase {
  std::int64_t m, n, k;
};

// One of everything: a single element, tails of every tile, several chunks of k, k in parts.
const ProductCase kProductCases[] = {{1, 1, 1},      {14, 32, 64},    {15, 33, 65},   {6, 16, 8},
                                     {37, 5, 3},     {113, 130, 700}, {3, 300, 77},   {250, 40, 1},
                                     {20, 40, 5001}, {33, 64, 2049},  {129, 1030, 33}};

// A product with everything random; alpha, beta and the bias where C is half.
struct ProductProblem {
  ProductProblem(HalfFormat format, ProductCase shape, bool a_transposed, bool b_transposed,
                 bool fp32)
      : a(normal_halves(format, shape.m * shape.k, 1)),
        b(normal_halves(format, shape.k * shape.n, 2)),
        d(normal_halves(format, shape.n, 3)),
        c(static_cast<std::size_t>(shape.m * shape.n), 0x7e7e),
        c_fp32(c.size(), -1.0f) {
    args.format = format;
    args.m = shape.m, args.n = shape.n, args.k = shape.k;
    args.a = matrix_rows(a.data(), a_transposed ? shape.m : shape.k);
    args.b = matrix_rows(b.data(), b_transposed ? shape.k : shape.n);
    args.a_transposed = a_transposed, args.b_transposed = b_transposed;
    args.c_stride = shape.n;
    args.c_fp32 = fp32;
    args.c = fp32 ? static_cast<void*>(c_fp32.data()) : c.data();
    if (!fp32) args.d = d.data(), args.alpha = 2, args.beta = 0.5f;
  }

  // The matrix as rows along k, in fp64.
  std::vector<double> along_k(const Halves& halves, std::int64_t rows, bool k_first) const {
    std::vector<double> result;
    for (std::int64_t i = 0; i < rows; ++i) {
      for (std::int64_t p = 0; p < args.k; ++p) {
        const std::int64_t at = k_first ? p * rows + i : i * args.k + p;
        result.push_back(value_of(args.format, halves[static_cast<std::size_t>(at)]));
      }
    }
    return result;
  }

  std::vector<double> exact() const {
    const auto rows = along_k(a, args.m, args.a_transposed);
    const auto columns = along_k(b, args.n, !args.b_transposed);
    std::vector<double> result;
    for (std::int64_t i = 0; i < args.m; ++i) {
      for (std::int64_t j = 0; j < args.n; ++j) {
        double sum = std::inner_product(rows.begin() + i * args.k, rows.begin() + (i + 1) * args.k,
                                        columns.begin() + j * args.k, 0.0);
        if (args.d) {
          sum =
              args.alpha * sum + args.beta * value_of(args.format, d[static_cast<std::size_t>(j)]);
        }
        result.push_back(sum);
      }
    }
    return result;
  }

  Halves a, b, d, c;
  std::vector<float> c_fp32;
  ProductArgs args;
};

TEST(Product, MatchesFp64OnEveryRungFormatShapeAndTransposition) {
  for_each_rung(product_ladder(), [](Isa rung) {
    for (HalfFormat format : {HalfFormat::fp16, HalfFormat::bf16}) {
      for (const ProductCase& shape : kProductCases) {
        for (int form = 0; form < 8; ++form) {
          ProductProblem problem(format, shape, form & 1, form & 2, form & 4);
          product(problem.args);
          const auto exact = problem.exact();
          SCOPED_TRACE(std::string(isa_name(rung)) + " form " + std::to_string(form) + ", " +
                       std::to_string(shape.m) + "x" + std::to_string(shape.n) + "x" +
                       std::to_string(shape.k));
          if (form & 4) {
            EXPECT_LE(relative_rms(format, problem.c_fp32, exact), fp32_tolerance(format));
          } else if (exact.size() < 16) {  // too few for the mean: the unit roundoff itself
            EXPECT_LE(relative_rms(format, problem.c, exact), 3 * product_tolerance(format));
          } else {
            EXPECT_LE(relative_rms(format, problem.c, exact), product_tolerance(format));
          }
        }
      }
    }
  });
}

TEST(Product, APackedOperandGivesTheSameBits) {
  const int before = at::get_num_threads();
  for_each_rung(product_ladder(), [](Isa rung) {
    for (HalfFormat format : {HalfFormat::fp16, HalfFormat::bf16}) {
      for (const ProductCase& shape : kProductCases) {
        for (int form = 0; form < 4; ++form) {
          ProductProblem plain(format, shape, form & 1, form & 2, false);
          ProductProblem packed(format, shape, form & 1, form & 2, false);
          product(plain.args);
          at::set_num_threads(1 + form % 3);
          const PackedOperand operand = pack_right_operand(packed.args);
          EXPECT_EQ(operand.empty(), rung == Isa::ref);
          packed.args.packed_b = &operand;
          // B isn't read again: where it is, NaN comes out.
          if (!operand.empty()) std::fill(packed.b.begin(), packed.b.end(), 0x7fff);
          product(packed.args);
          EXPECT_EQ(packed.c, plain.c) << isa_name(rung) << " form " << form << ", " << shape.m
                                       << "x" << shape.n << "x" << shape.k;
        }
      }
    }
  });
  at::set_num_threads(before);
}

TEST(Product, APackOfAnotherUnitOrShapeIsNotRead) {
  for (HalfFormat format : {HalfFormat::fp16, HalfFormat::bf16}) {
    ProductProblem problem(format, {20, 40, 50}, false, false, false);
    PackedOperand of_best;
    for_each_rung(product_ladder(), [&](Isa) {
      product(problem.args);
      const Halves expected = problem.c;
      ProductProblem other(format, {20, 40, 49}, false, false, false);
      const PackedOperand of_other = pack_right_operand(other.args);
      problem.args.packed_b = &of_other;
      product(problem.args);
      EXPECT_EQ(problem.c, expected);
      problem.args.packed_b = &of_best;
      product(problem.args);
      EXPECT_EQ(problem.c, expected);
      problem.args.packed_b = nullptr;
      of_best = pack_right_operand(problem.args);
    });
  }
}

TEST(Product, SameBitsForAnyThreadCount) {
  const int before = at::get_num_threads();
  for_each_rung(product_ladder(), [](Isa rung) {
    for (HalfFormat format : {HalfFormat::fp16, HalfFormat::bf16}) {
      for (const ProductCase& shape : {ProductCase{200, 300, 400}, ProductCase{20, 70, 20000}}) {
        std::vector<Halves> results;
        for (int threads : {1, 2, 3}) {
          at::set_num_threads(threads);
          ProductProblem problem(format, shape, true, false, false);
          product(problem.args);
          results.push_back(problem.c);
        }
        EXPECT_EQ(results[0], results[1]) << isa_name(rung);
        EXPECT_EQ(results[0], results[2]) << isa_name(rung);
      }
    }
  });
  at::set_num_threads(before);
}

TEST(Product, AppliesReluToTheRoundedSumAndLetsNanThrough) {
  at::set_num_threads(1);
  for_each_rung(product_ladder(), [](Isa rung) {
    for (HalfFormat format : {HalfFormat::fp16, HalfFormat::bf16}) {
      ProductProblem plain(format, {20, 40, 30}, false, true, false);
      plain.a[3 * 30 + 7] = float_to_half(format, std::numeric_limits<float>::quiet_NaN());
      ProductProblem relu = plain;
      relu.args.a = matrix_rows(relu.a.data(), 30), relu.args.b = matrix_rows(relu.b.data(), 30);
      relu.args.c = relu.c.data(), relu.args.d = relu.d.data();
      relu.args.activation = ProductEpilogue::relu;
      product(plain.args);
      product(relu.args);
      for (std::size_t i = 0; i < plain.c.size(); ++i) {
        const double before = value_of(format, plain.c[i]), after = value_of(format, relu.c[i]);
        const bool nan_row = i / 40 == 3;
        EXPECT_EQ(std::isnan(before), nan_row) << isa_name(rung) << " " << i;
        EXPECT_EQ(std::isnan(after), nan_row) << isa_name(rung) << " " << i;
        if (nan_row) continue;
        EXPECT_EQ(after, before > 0 ? before : 0) << isa_name(rung) << " " << i;
      }
    }
  });
}

TEST(Product, InfinityStaysInItsRowAndColumn) {
  at::set_num_threads(1);
  for_each_rung(product_ladder(), [](Isa rung) {
    for (HalfFormat format : {HalfFormat::fp16, HalfFormat::bf16}) {
      // k odd: the pair of the last element is padding.
      ProductProblem problem(format, {17, 35, 65}, false, true, false);
      problem.a[2 * 65 + 64] = float_to_half(format, std::numeric_limits<float>::infinity());
      product(problem.args);
      for (std::size_t i = 0; i < problem.c.size(); ++i) {
        EXPECT_EQ(std::isinf(value_of(format, problem.c[i])), i / 35 == 2)
            << isa_name(rung) << " " << i;
      }
    }
  });
}

TEST(Product, NothingToSumGivesTheAddendAndNothingToWriteWritesNothing) {
  for_each_rung(product_ladder(), [](Isa rung) {
    ProductProblem problem(HalfFormat::bf16, {3, 5, 0}, false, false, false);
    problem.args.beta = 1;
    product(problem.args);
    for (std::size_t i = 0; i < problem.c.size(); ++i) {
      EXPECT_EQ(problem.c[i], problem.d[i % 5]) << isa_name(rung);
    }
    ProductProblem empty(HalfFormat::bf16, {0, 5, 4}, false, false, false);
    product(empty.args);
  });
}

}  // namespace
}  // namespace halftone::kernels
