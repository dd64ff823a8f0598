#include "halftone/kernels/attention/attention.h"

#include <ATen/Parallel.h>

#include "tests/kernels/attention_problem.h"
#include "tests/support/rungs.h"
#include "tests/support/test.h"

namespace halftone::kernels {
namespace {

using Mask = AttentionMaskKind;

// batch, heads, kv_heads, rows, keys, width: single elements, tails of every tile, several blocks
// of rows and of keys, shared key heads, dK and dV in parts and whole.
const AttentionCase kAttentionCases[] = {
    {{1, 1, 1, 1, 1, 1}},
    {{2, 3, 3, 7, 5, 3}},
    {{1, 2, 2, 33, 65, 17}},
    {{1, 1, 1, 260, 300, 64}},
    {{3, 6, 2, 31, 34, 32}},
    {{1, 4, 1, 130, 129, 40}},
    {{2, 1, 1, 1, 77, 80}},
    {{1, 1, 1, 50, 1, 8}},
    {{1, 1, 1, 40, 70, 256}},
    {{1, 2, 2, 33, 65, 17}, true},
    {{1, 2, 2, 65, 33, 17}, true},
    {{1, 1, 1, 290, 290, 64}, true},
    {{2, 4, 2, 150, 20, 33}, true},
    {{2, 2, 2, 21, 35, 16}, false, Mask::fp32, true},
    {{2, 2, 2, 21, 35, 16}, false, Mask::half, true},
    {{2, 2, 1, 21, 35, 16}, false, Mask::boolean, true},
    {{2, 2, 2, 150, 270, 16}, false, Mask::half},
    {{2, 2, 2, 150, 270, 16}, false, Mask::fp32, false, false},
    {{2, 2, 2, 21, 35, 16}, false, Mask::fp32, true, true, false},
    {{2, 2, 2, 21, 35, 16}, true, Mask::boolean, false, false},
    {{1, 2, 2, 140, 140, 16}, true, Mask::half, true},
};

void expect_log_sums(AttentionTestProblem& p, const ExactAttention& exact) {
  const AttentionShape& s = p.problem.shape;
  // The scores' error, which fp16 sums enlarge; four times its mean at most.
  const double product = product_tolerance(p.problem.format);
  const double bound = product == tolerance::kProductAvx512Fp16 ? 4 * product : tolerance::kFp32;
  for (std::int64_t row = 0; row < s.batch * s.heads * s.rows; ++row) {
    const float* got =
        p.forward_args().log_sum.at(row / s.rows / s.heads, row / s.rows % s.heads, row % s.rows);
    ASSERT_NEAR(*got, exact.log_sum.values[static_cast<std::size_t>(row)], bound) << row;
  }
}

const char* name_of(HalfFormat format) { return format == HalfFormat::fp16 ? " fp16 " : " bf16 "; }

void expect_close(AttentionTestProblem& p, const ExactAttention& exact, const AttentionCase& c) {
  const HalfFormat format = p.problem.format;
  // Too few elements for the mean: the unit roundoff itself.
  const double few = c.shape.keys * c.shape.width < 16 ? 2 : 1;
  const double product = few * product_tolerance(format);
  const double own = product * (product_tolerance(format) == tolerance::kProductAvx512Fp16
                                    ? tolerance::kAttentionAvx512Fp16
                                    : tolerance::kAttention);
  const double gradient = product * tolerance::kAttentionGradient;
  expect_log_sums(p, exact);
  EXPECT_LE(p.output.error(format, exact.output), own);
  EXPECT_LE(p.grad_query.error(format, exact.grad_query), gradient);
  EXPECT_LE(p.grad_key.error(format, exact.grad_key), gradient);
  EXPECT_LE(p.grad_value.error(format, exact.grad_value), gradient);
  EXPECT_TRUE(p.gaps_untouched());
}

TEST(Attention, MatchesFp64OnEveryRungFormatShapeAndMask) {
  struct Item {
    AttentionTestProblem problem;
    ExactAttention exact;
    const AttentionCase& shape;
  };
  std::vector<Item> items;
  for (HalfFormat format : {HalfFormat::fp16, HalfFormat::bf16}) {
    for (const AttentionCase& c : kAttentionCases) {
      AttentionTestProblem p(format, c);
      auto exact = p.exact();
      items.push_back({std::move(p), std::move(exact), c});
    }
  }
  for_each_rung(attention_ladder(), [&](Isa rung) {
    for (Item& each : items) {
      SCOPED_TRACE(isa_name(rung) + std::string(name_of(each.problem.problem.format)) +
                   each.shape.text());
      const auto backward_runs = attention_backward_ladder().runs(rung);
      each.problem.run();
      EXPECT_GT(attention_backward_ladder().runs(rung), backward_runs);
      expect_close(each.problem, each.exact, each.shape);
    }
  });
}

std::vector<Halves> all_results(AttentionTestProblem& p) {
  p.run();
  return {p.output.halves, p.grad_query.halves, p.grad_key.halves, p.grad_value.halves};
}

TEST(Attention, SameBitsForAnyThreadCount) {
  const int before = at::get_num_threads();
  for_each_rung(attention_ladder(), [](Isa rung) {
    for (HalfFormat format : {HalfFormat::fp16, HalfFormat::bf16}) {
      // dK and dV of a head in several parts; whole.
      for (const AttentionCase& c :
           {AttentionCase{{1, 2, 1, 200, 170, 24}, true}, AttentionCase{{4, 6, 6, 50, 40, 24}}}) {
        AttentionTestProblem p(format, c);
        at::set_num_threads(1);
        const auto once = all_results(p);
        const auto log_sum = p.log_sum;
        for (int threads : {1, 2, 3}) {
          at::set_num_threads(threads);
          EXPECT_EQ(all_results(p), once) << isa_name(rung) << threads;
          EXPECT_EQ(p.log_sum, log_sum) << isa_name(rung) << threads;
        }
      }
    }
  });
  at::set_num_threads(before);
}

TEST(Attention, ARowWithoutKeysGivesZerosAndNoGradient) {
  for_each_rung(attention_ladder(), [](Isa rung) {
    for (Mask mask : {Mask::fp32, Mask::half, Mask::boolean}) {
      const AttentionCase c{{1, 2, 2, 40, 300, 20}, false, mask};
      AttentionTestProblem p(HalfFormat::bf16, c);
      p.run();
      const Halves key = p.grad_key.halves, value = p.grad_value.halves;
      for (std::int64_t h = 0; h < 2; ++h) {
        EXPECT_EQ(*p.forward_args().log_sum.at(0, h, 0), 0) << isa_name(rung);
        for (std::int64_t e = 0; e < 20; ++e) {
          EXPECT_EQ(p.output.at(0, h, 0, e), 0) << isa_name(rung);
          EXPECT_EQ(value_of(HalfFormat::bf16, p.grad_query.at(0, h, 0, e)), 0) << isa_name(rung);
          p.grad_output.at(0, h, 0, e) = float_to_bf16(1000);  // row 0 is masked: changes nothing
          p.query.at(0, h, 0, e) = float_to_bf16(-3);
        }
      }
      p.run();
      EXPECT_EQ(p.grad_key.halves, key) << isa_name(rung);
      EXPECT_EQ(p.grad_value.halves, value) << isa_name(rung);
    }
  });
}

// How many elements of row (0, 0, i) are NaN.
int nans(StridedHalves& tensor, std::int64_t i, std::int64_t width) {
  int count = 0;
  for (std::int64_t e = 0; e < width; ++e) {
    count += std::isnan(value_of(HalfFormat::fp16, tensor.at(0, 0, i, e)));
  }
  return count;
}

TEST(Attention, NanAndInfinityReachTheRowsThatAttendToThem) {
  constexpr std::int64_t kRows = 150, kWidth = 12, kAt = 77;
  for_each_rung(attention_ladder(), [](Isa rung) {
    for (float odd : {std::numeric_limits<float>::quiet_NaN(), -kMinusInfinity}) {
      for (bool causal : {false, true}) {
        SCOPED_TRACE(isa_name(rung) + std::string(causal ? " causal " : " ") + std::to_string(odd));
        const AttentionCase c{{1, 1, 1, kRows, kRows, kWidth}, causal};
        AttentionTestProblem query(HalfFormat::fp16, c), key = query;
        query.query.at(0, 0, kAt, 5) = float_to_fp16(odd);
        key.key.at(0, 0, kAt, 5) = float_to_fp16(odd);
        query.run();
        key.run();
        for (std::int64_t i = 0; i < kRows; ++i) {
          EXPECT_EQ(nans(query.output, i, kWidth), i == kAt ? kWidth : 0) << i;
          EXPECT_EQ(nans(query.grad_query, i, kWidth), i == kAt ? kWidth : 0) << i;
          // A score of -infinity is none; its sign is the query's.
          const bool met = !causal || i >= kAt;
          const bool counts =
              met && (std::isnan(odd) || value_of(HalfFormat::fp16, key.query.at(0, 0, i, 5)) > 0);
          EXPECT_EQ(nans(key.output, i, kWidth), counts ? kWidth : 0) << i;
        }
      }
    }
  });
}

TEST(Attention, HugeScoresStayFinite) {
  for_each_rung(attention_ladder(), [](Isa rung) {
    AttentionTestProblem p(HalfFormat::bf16, {{1, 1, 1, 40, 600, 16}});
    p.problem.scale = 1000;
    p.run();
    for (StridedHalves* each : {&p.output, &p.grad_query, &p.grad_key, &p.grad_value}) {
      for (std::uint16_t bits : each->halves) {
        EXPECT_TRUE(std::isfinite(value_of(HalfFormat::bf16, bits))) << isa_name(rung);
      }
    }
  });
}

TEST(Attention, NothingToAttendToGivesZeros) {
  for_each_rung(attention_ladder(), [](Isa) {
    AttentionTestProblem keys(HalfFormat::fp16, {{2, 2, 2, 5, 0, 4}});
    keys.run();
    EXPECT_EQ(nans(keys.output, 0, 4), 0);
    EXPECT_EQ(keys.output.at(1, 1, 4, 3), 0);
    EXPECT_EQ(keys.grad_query.at(1, 1, 4, 3), 0);
    EXPECT_EQ(keys.log_sum, std::vector<float>(20, 0));
    AttentionTestProblem rows(HalfFormat::fp16, {{2, 2, 2, 0, 5, 4}});
    rows.run();
    EXPECT_EQ(rows.grad_key.at(1, 1, 4, 3), 0);
    EXPECT_EQ(rows.grad_value.at(1, 1, 4, 3), 0);
    AttentionTestProblem batch(HalfFormat::fp16, {{0, 2, 2, 5, 5, 4}});
    batch.run();
  });
}

}  // namespace
}  // namespace halftone::kernels
