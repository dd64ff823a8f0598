#include "halftone/kernels/product/product.h"

#include <new>

#include "halftone/base/target.h"
#include "halftone/kernels/product/packed.h"

namespace halftone::kernels {
namespace {

#if HALFTONE_X86
const Ladder<ProductArgs, 6> kProduct(
    "product", {{{Isa::amx, amx::product_refuses, amx::product},
                 {Isa::avx512_fp16, avx512_fp16::product_refuses, avx512_fp16::product},
                 {Isa::avx512, avx512::pair_product_refuses, avx512::pair_product},
                 {Isa::avx512, nullptr, avx512::product},
                 {Isa::avx2, nullptr, avx2::product},
                 {Isa::ref, nullptr, ref::product}}});
#else
const Ladder<ProductArgs, 1> kProduct("product", {{{Isa::ref, nullptr, ref::product}}});
#endif

const std::uint16_t* read_matrix(const MatrixRows& self, std::int64_t row, std::int64_t begin,
                                 std::int64_t, std::uint16_t*) {
  return self.data + row * self.stride + begin;
}

}  // namespace

MatrixRows matrix_rows(const std::uint16_t* data, std::int64_t stride) {
  return {read_matrix, data, stride, nullptr};
}

void product(const ProductArgs& args) { kProduct(args); }

PackedOperand pack_right_operand(const ProductArgs& args) {
  PackedOperand packed;
  ProductArgs request = args;
  request.m = 1;
  request.pack_to = &packed;
  request.packed_b = nullptr;
  request.d = nullptr;
  kProduct(request);
  return packed;
}

void* PackedOperand::allocate(const void* unit, std::int64_t n, std::int64_t k, std::size_t bytes) {
  constexpr std::size_t kAlignment = 64;
  bytes_ = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  data_.reset(std::aligned_alloc(kAlignment, bytes_));
  if (!data_) throw std::bad_alloc();
  unit_ = unit, n_ = n, k_ = k;
  return data_.get();
}

const LadderBase& product_ladder() { return kProduct; }

}  // namespace halftone::kernels
