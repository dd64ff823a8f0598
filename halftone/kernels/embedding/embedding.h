// The gradient of an embedding's table: the sum of the gradients of each word's tokens.
#pragma once

#include <cstdint>

#include "halftone/base/export.h"
#include "halftone/base/half.h"
#include "halftone/kernels/ladder.h"

namespace halftone::kernels {

// grad_table: (words, width), written whole: row w is the fp32 sum, rounded once, of the rows of
// grad (tokens, width) whose index is w, in their order; divided by their number with by_frequency;
// 0 where there is none and for w = padding (-1: no such word). Indices outside of [0, words) are
// ignored. Any alignment, no aliasing; tokens and words below 2^31.
//
// Error: (n + 1) * 2^-24 * sum |g| for a word of n tokens, then half an ulp. The same bits for any
// thread count and on every rung.
struct EmbeddingBackwardArgs {
  HalfFormat format;
  std::int64_t tokens, words, width;
  std::int64_t padding;
  bool by_frequency;
  const std::uint16_t* grad;
  const std::int64_t* indices;
  std::uint16_t* grad_table;
  // Tokens sorted by word, in 32 bits: scratch of tokens + words + 1 numbers, any content.
  std::int32_t* scratch;
};

HALFTONE_API void embedding_backward(const EmbeddingBackwardArgs& args);
HALFTONE_API const LadderBase& embedding_backward_ladder();

namespace ref {
void embedding_backward(const EmbeddingBackwardArgs& args);
}
namespace avx2 {
void embedding_backward(const EmbeddingBackwardArgs& args);
}
namespace avx512 {
void embedding_backward(const EmbeddingBackwardArgs& args);
}

}  // namespace halftone::kernels
