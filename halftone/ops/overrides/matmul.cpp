#include "halftone/ops/overrides/matmul.h"

#include <ATen/ExpandUtils.h>
#include <ATen/MemoryOverlap.h>
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/addmm_cpu_dispatch.h>
#include <ATen/ops/baddbmm_cpu_dispatch.h>
#include <ATen/ops/bmm_cpu_dispatch.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm_cpu_dispatch.h>

#include "halftone/ops/overrides/half_tensor.h"
#include "halftone/ops/overrides/override.h"
#include "halftone/ops/overrides/own_or_stock.h"
#include "halftone/ops/packed_weights.h"

namespace halftone::ops {
namespace {

using at::Scalar;
using at::Tensor;

template <std::int64_t dimensions>
constexpr const char* kMatmulName = dimensions == 2 ? "mm" : "bmm";

// [.., m, k] times [.., k, n] of one half format; everything else is LibTorch's, its errors too.
bool matmul_fits(const Tensor& a, const Tensor& b, std::int64_t dimensions) {
  return is_half(a) && is_half(b) && a.scalar_type() == b.scalar_type() && a.dim() == dimensions &&
         b.dim() == dimensions && a.size(-1) == b.size(-2) &&
         (dimensions == 2 || a.size(0) == b.size(0));
}

std::vector<std::int64_t> matmul_sizes(const Tensor& a, const Tensor& b) {
  auto sizes = a.sizes().vec();
  sizes.back() = b.size(-1);
  return sizes;
}

// `self` as D: of the result's format and expandable to its sizes, or not needed at all.
bool addend_fits(const Tensor& self, const Tensor& a, const std::vector<std::int64_t>& sizes,
                 const Scalar& beta) {
  if (beta.toDouble() == 0) return true;
  return self.scalar_type() == a.scalar_type() && self.dim() <= a.dim() &&
         at::is_expandable_to(self.sizes(), sizes);
}

// No memory in common. LibTorch's status alone can't tell of expanded tensors.
bool are_apart(const Tensor& a, const Tensor& b) {
  return !a.is_alias_of(b) || at::get_overlap_status(a, b) == at::MemOverlapStatus::No;
}

// An output of the caller's that can be written while the operands are read.
bool out_fits(const Tensor& out, const Tensor& a, const Tensor& b,
              const std::vector<std::int64_t>& sizes) {
  return is_half(out) && out.scalar_type() == a.scalar_type() &&
         out.sizes() == at::IntArrayRef(sizes) && out.stride(-1) == 1 &&
         at::has_internal_overlap(out) == at::MemOverlap::No && are_apart(out, a) &&
         are_apart(out, b);
}

// D may be C itself, element for element, or apart from it.
bool addend_apart(const Tensor& self, const Tensor& out) {
  return are_apart(self, out) || (at::get_overlap_status(self, out) == at::MemOverlapStatus::Full &&
                                  self.strides() == out.strides());
}

Tensor addend(const Tensor& self, const std::vector<std::int64_t>& sizes, const Scalar& beta) {
  if (beta.toDouble() == 0) return {};
  const Tensor expanded = self.expand(sizes);
  return expanded.stride(-1) == 1 || sizes.back() == 1 ? expanded : expanded.contiguous();
}

// One product per entry. A few large ones are better cut themselves, many side by side.
void multiply_batches(const Tensor& out, const Tensor& a, const Tensor& b, const Tensor& add,
                      float alpha, float beta) {
  const std::int64_t batch = a.size(0);
  const auto body = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      multiply_into(out[i], a[i], b[i], add.defined() ? add[i] : add, alpha, beta);
    }
  };
  if (batch < 2 * at::get_num_threads()) return body(0, batch);
  at::parallel_for(0, batch, 1, body);
}

void multiply_any(const Tensor& out, const Tensor& a, const Tensor& b, const Tensor& add,
                  const Scalar& alpha, const Scalar& beta) {
  if (a.dim() == 2) {
    multiply_into(out, a, b, add, alpha.to<float>(), beta.to<float>());
  } else {
    multiply_batches(out, a, b, add, alpha.to<float>(), beta.to<float>());
  }
}

template <std::int64_t dimensions, Tensor (*stock)(const Tensor&, const Tensor&)>
Tensor matmul(const Tensor& a, const Tensor& b) {
  if (!matmul_fits(a, b, dimensions)) return stock(a, b);
  const auto own = [&] {
    const Tensor out = at::empty(matmul_sizes(a, b), a.options());
    multiply_any(out, a, b, {}, 1, 0);
    return out;
  };
  return own_or_stock(kMatmulName<dimensions>, own, [&] { return stock(a, b); });
}

template <std::int64_t dimensions, Tensor& (*stock)(const Tensor&, const Tensor&, Tensor&)>
Tensor& matmul_out(const Tensor& a, const Tensor& b, Tensor& out) {
  if (!matmul_fits(a, b, dimensions) || !out_fits(out, a, b, matmul_sizes(a, b))) {
    return stock(a, b, out);
  }
  const auto own = [&]() -> Tensor& {
    multiply_any(out, a, b, {}, 1, 0);
    return out;
  };
  return own_or_stock(kMatmulName<dimensions>, own, [&]() -> Tensor& { return stock(a, b, out); });
}

template <std::int64_t dimensions, Tensor (*stock)(const Tensor&, const Tensor&, const Tensor&,
                                                   const Scalar&, const Scalar&)>
Tensor add_matmul(const Tensor& self, const Tensor& a, const Tensor& b, const Scalar& beta,
                  const Scalar& alpha) {
  if (!matmul_fits(a, b, dimensions)) return stock(self, a, b, beta, alpha);
  const auto sizes = matmul_sizes(a, b);
  if (!addend_fits(self, a, sizes, beta)) return stock(self, a, b, beta, alpha);
  const auto own = [&] {
    const Tensor out = at::empty(sizes, a.options());
    multiply_any(out, a, b, addend(self, sizes, beta), alpha, beta);
    return out;
  };
  return own_or_stock(kMatmulName<dimensions>, own, [&] { return stock(self, a, b, beta, alpha); });
}

template <std::int64_t dimensions, Tensor& (*stock)(const Tensor&, const Tensor&, const Tensor&,
                                                    const Scalar&, const Scalar&, Tensor&)>
Tensor& add_matmul_out(const Tensor& self, const Tensor& a, const Tensor& b, const Scalar& beta,
                       const Scalar& alpha, Tensor& out) {
  if (!matmul_fits(a, b, dimensions)) return stock(self, a, b, beta, alpha, out);
  const auto sizes = matmul_sizes(a, b);
  if (!addend_fits(self, a, sizes, beta) || !out_fits(out, a, b, sizes) ||
      (beta.toDouble() != 0 && !addend_apart(self, out))) {
    return stock(self, a, b, beta, alpha, out);
  }
  // Where D lies in C, the rows that are written are gone: LibTorch's kernel then needs its own.
  const bool in_place = beta.toDouble() != 0 && !are_apart(self, out);
  const Tensor source = in_place ? self.clone() : self;
  const auto own = [&]() -> Tensor& {
    multiply_any(out, a, b, addend(source, sizes, beta), alpha, beta);
    return out;
  };
  return own_or_stock(kMatmulName<dimensions>, own,
                      [&]() -> Tensor& { return stock(source, a, b, beta, alpha, out); });
}

template <auto out_form>
Tensor& add_matmul_(Tensor& self, const Tensor& a, const Tensor& b, const Scalar& beta,
                    const Scalar& alpha) {
  return out_form(self, a, b, beta, alpha, self);
}

void install_mm(torch::Library& library) {
  library.impl("mm", matmul<2, at::cpu::mm>);
  library.impl("mm.out", matmul_out<2, at::cpu::mm_outf>);
}

void install_addmm(torch::Library& library) {
  library.impl("addmm", add_matmul<2, at::cpu::addmm>);
  library.impl("addmm.out", add_matmul_out<2, at::cpu::addmm_outf>);
  library.impl("addmm_", add_matmul_<add_matmul_out<2, at::cpu::addmm_outf>>);
}

void install_bmm(torch::Library& library) {
  library.impl("bmm", matmul<3, at::cpu::bmm>);
  library.impl("bmm.out", matmul_out<3, at::cpu::bmm_outf>);
}

void install_baddbmm(torch::Library& library) {
  library.impl("baddbmm", add_matmul<3, at::cpu::baddbmm>);
  library.impl("baddbmm.out", add_matmul_out<3, at::cpu::baddbmm_outf>);
  library.impl("baddbmm_", add_matmul_<add_matmul_out<3, at::cpu::baddbmm_outf>>);
}

const OverrideRegistration kMm{{"mm", install_mm}};
const OverrideRegistration kAddmm{{"addmm", install_addmm}};
const OverrideRegistration kBmm{{"bmm", install_bmm}};
const OverrideRegistration kBaddbmm{{"baddbmm", install_baddbmm}};

}  // namespace

MatrixOperand matrix_operand(const Tensor& tensor) {
  const bool rows = tensor.stride(1) == 1 || tensor.size(1) == 1;
  const bool columns = tensor.stride(0) == 1 || tensor.size(0) == 1;
  if (!rows && !columns) return matrix_operand(tensor.contiguous());
  return {tensor, kernels::matrix_rows(half_data(tensor), tensor.stride(rows ? 0 : 1)), !rows};
}

void multiply_into(const Tensor& out, const Tensor& a, const Tensor& b, const Tensor& add,
                   float alpha, float beta) {
  const MatrixOperand left = matrix_operand(a), right = matrix_operand(b);
  kernels::ProductArgs args;
  args.format = half_format(a);
  args.m = a.size(0), args.n = b.size(1), args.k = a.size(1);
  args.a = left.rows, args.a_transposed = left.by_columns;
  args.b = right.rows, args.b_transposed = right.by_columns;
  args.c = mutable_half_data(out);
  args.c_stride = out.stride(0);
  if (add.defined()) args.d = half_data(add), args.d_stride = add.stride(0);
  args.alpha = alpha, args.beta = beta;
  const auto kept = find_packed(b, WeightUse::matrix);
  if (kept) args.packed_b = &kept->packed;
  kernels::product(args);
}

}  // namespace halftone::ops
