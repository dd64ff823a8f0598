#include "halftone/kernels/embedding/embedding.h"

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "tests/support/rungs.h"
#include "tests/support/test.h"
#include "tests/support/tolerances.h"

namespace halftone::kernels {
namespace {

struct EmbeddingCase {
  HalfFormat format;
  std::int64_t tokens, words, width, padding;
  bool by_frequency;
  std::vector<std::uint16_t> grad, table;
  std::vector<std::int64_t> indices;

  void fill() {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    std::uniform_int_distribution<std::int64_t> word(0, words - 1);
    grad.resize(static_cast<std::size_t>(tokens * width + 1));
    table.assign(static_cast<std::size_t>(words * width + 2), 0x1234);
    for (auto& each : grad) each = float_to_half(format, normal(random));
    // Half of the tokens are one word.
    for (std::int64_t t = 0; t < tokens; ++t) indices.push_back(t % 2 ? words / 2 : word(random));
  }

  void run() {
    std::vector<std::int32_t> scratch(static_cast<std::size_t>(tokens + words + 1), -5);
    embedding_backward({format, tokens, words, width, padding, by_frequency, grad.data() + 1,
                        indices.data(), table.data() + 1, scratch.data()});
  }
};

TEST(EmbeddingBackward, MatchesFp64OnEveryRungFormatAndWidth) {
  for_each_rung(embedding_backward_ladder(), [](Isa rung) {
    for (HalfFormat format : {HalfFormat::fp16, HalfFormat::bf16}) {
      for (std::int64_t width : {1, 7, 16, 33, 64, 100}) {
        for (std::int64_t tokens : {0, 1, 50}) {
          for (bool by_frequency : {false, true}) {
            EmbeddingCase c{format, tokens, 9, width, 3, by_frequency, {}, {}, {}};
            c.fill();
            if (tokens > 2) c.indices[0] = -1, c.indices[2] = 9;
            c.run();
            EXPECT_EQ(c.table.front(), 0x1234) << isa_name(rung);
            EXPECT_EQ(c.table.back(), 0x1234) << isa_name(rung);
            for (std::int64_t w = 0; w < c.words; ++w) {
              for (std::int64_t i = 0; i < width; ++i) {
                double sum = 0, magnitude = 0, count = 0;
                for (std::int64_t t = 0; t < tokens && w != c.padding; ++t) {
                  if (c.indices[t] != w) continue;
                  const double term = half_to_float(format, c.grad[1 + t * width + i]);
                  sum += term, magnitude += std::abs(term), ++count;
                }
                if (by_frequency && count > 0) sum /= count;
                const double unit =
                    format == HalfFormat::fp16 ? tolerance::kFp16Unit : tolerance::kBf16Unit;
                ASSERT_NEAR(half_to_float(format, c.table[1 + w * width + i]), sum,
                            std::abs(sum) * unit + tolerance::kFp32 * magnitude + 0x1p-25)
                    << isa_name(rung) << " word " << w << " width " << width;
              }
            }
          }
        }
      }
    }
  });
}

TEST(EmbeddingBackward, NanReachesItsWordOnly) {
  for_each_rung(embedding_backward_ladder(), [](Isa rung) {
    EmbeddingCase c{HalfFormat::bf16, 20, 5, 40, -1, false, {}, {}, {}};
    c.fill();
    c.grad[1 + 4 * c.width + 39] = float_to_bf16(std::numeric_limits<float>::quiet_NaN());
    c.run();
    for (std::int64_t i = 0; i < c.words * c.width; ++i) {
      EXPECT_EQ(std::isnan(bf16_to_float(c.table[i + 1])), i == c.indices[4] * c.width + 39)
          << isa_name(rung);
    }
  });
}

}  // namespace
}  // namespace halftone::kernels
