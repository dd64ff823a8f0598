// The product C = alpha * A * B + beta * D of half matrices that need not lie in memory as such:
// their rows are asked for one by one. GEMM in all transpositions and the three directions of
// convolution are this kernel with different rows; only it has rungs.
#pragma once

#include <cstdint>

#include "halftone/base/export.h"
#include "halftone/base/half.h"
#include "halftone/kernels/ladder.h"

namespace halftone::kernels {

// The rows of a matrix of halves. read: a pointer to elements [begin, begin + count) of `row`,
// valid until the next call with the same scratch: into the matrix itself or to `scratch`, which
// holds `count` elements and is then filled by read. Called from several threads at once.
struct MatrixRows {
  const std::uint16_t* (*read)(const MatrixRows& self, std::int64_t row, std::int64_t begin,
                               std::int64_t count, std::uint16_t* scratch) = nullptr;
  const std::uint16_t* data = nullptr;
  std::int64_t stride = 0;        // elements from row to row, where the matrix lies in memory
  const void* context = nullptr;  // what `read` needs else
};

// A matrix that lies in memory: rows contiguous, `stride` elements apart.
HALFTONE_API MatrixRows matrix_rows(const std::uint16_t* data, std::int64_t stride);

class PackedOperand;

enum class ProductEpilogue : std::uint8_t { none, relu };

// m, n, k >= 0. All pointers any alignment.
struct ProductArgs {
  HalfFormat format = HalfFormat::bf16;
  std::int64_t m = 0, n = 0, k = 0;
  MatrixRows a;  // m rows of k; where a_transposed, k rows of m
  MatrixRows b;  // k rows of n; where b_transposed, n rows of k
  bool a_transposed = false, b_transposed = false;
  // B packed before (packed.h), or null. The same bits as without.
  const PackedOperand* packed_b = nullptr;
  PackedOperand* pack_to = nullptr;  // pack_right_operand()'s: B is packed, nothing else happens

  // Row i of C begins at element c_row(i) of c, or at i * c_stride where c_row is null; n elements
  // are contiguous: halves, or fp32 where c_fp32. C does not overlap A and B.
  void* c = nullptr;
  std::int64_t c_stride = 0;
  std::int64_t (*c_row)(const void* context, std::int64_t row) = nullptr;
  const void* c_context = nullptr;
  bool c_fp32 = false;

  // Null: no D. Row i begins at d + i * d_stride; d_stride 0 adds the same row (a bias) everywhere.
  // D may be C itself (halves).
  const std::uint16_t* d = nullptr;
  std::int64_t d_stride = 0;
  float alpha = 1, beta = 1;
  ProductEpilogue activation = ProductEpilogue::none;
};

// Every product is accumulated in fp32 (rung ref: fp64) in an order that depends on m, n, k and the
// rung alone, so results don't change from run to run or with the thread count. One rounding to the
// half format at the end.
//   Error before that rounding, per element: at most (k + 2) * 2^-24 * sum |a_i b_i| (Higham,
//   Accuracy and Stability, 3.1), in practice its square root; fp32 rungs and bf16 pairs alike:
//   VDPBF16PS (Intel SDM) rounds after each product and takes subnormals as zero, as AMX does.
//   Rung avx512_fp16 (fp16 only) sums 64 products at a time in fp16 before they are added in fp32:
//   8e-3 * sum |a_i b_i| at worst, 1.2e-3 relative RMS on random data; such a partial sum beyond
//   65504 becomes infinity even where the whole sum would not, which loss scaling treats as any
//   other overflow. Rung amx multiplies fp16 without fp16 tiles as pairs of bf16: 2^-18 * sum
//   |a_i b_i| more.
//   NaN and infinity propagate as the sums of products say; padding enters none of them.
// k == 0 gives beta * D, or zeros. alpha and beta scale in fp32.
HALFTONE_API void product(const ProductArgs& args);

HALFTONE_API const LadderBase& product_ladder();

namespace ref {
void product(const ProductArgs& args);
}
namespace avx2 {
void product(const ProductArgs& args);
}
namespace avx512 {
void product(const ProductArgs& args);  // fp32 FMA on converted operands
const char* pair_product_refuses(const ProductArgs& args);
void pair_product(const ProductArgs& args);  // VDPBF16PS
}  // namespace avx512
namespace avx512_fp16 {
const char* product_refuses(const ProductArgs& args);
void product(const ProductArgs& args);
}  // namespace avx512_fp16
namespace amx {
const char* product_refuses(const ProductArgs& args);
void product(const ProductArgs& args);
}  // namespace amx

}  // namespace halftone::kernels
