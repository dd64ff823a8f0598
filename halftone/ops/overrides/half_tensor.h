// What the overrides ask of a tensor, and how they get their outputs.
#pragma once

#include <ATen/EmptyTensor.h>
#include <ATen/TensorMeta.h>
#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <limits>

#include "halftone/base/half.h"
#include "halftone/ops/torch_compat.h"

namespace halftone::ops {

// fp16 or bf16, at least one element, fewer than 2^31: the rest is LibTorch's.
inline bool is_half(const at::Tensor& tensor) {
  const auto type = tensor.scalar_type();
  return (type == at::kHalf || type == at::kBFloat16) && tensor.numel() > 0 &&
         tensor.numel() <= std::numeric_limits<std::int32_t>::max();
}

inline HalfFormat half_format(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kHalf ? HalfFormat::fp16 : HalfFormat::bf16;
}

inline const std::uint16_t* half_data(const at::Tensor& tensor) {
  return static_cast<const std::uint16_t*>(tensor.const_data_ptr());
}

inline std::uint16_t* mutable_half_data(const at::Tensor& tensor) {
  return static_cast<std::uint16_t*>(tensor.mutable_data_ptr());
}

// Runs LibTorch's own shape function of a structured operation (at::meta::structured_NAME, class
// Meta) and allocates what it asks for: its checks, its error texts, its memory format.
template <class Meta, std::size_t count, class Signature>
class OutputsOf;

template <class Meta, std::size_t count, class... Names>
class OutputsOf<Meta, count,
                void (at::impl::MetaBase::*)(std::int64_t, at::IntArrayRef, at::IntArrayRef,
                                             at::TensorOptions, Names...)>
    final : public Meta {
 public:
  void set_output_raw_strided(std::int64_t i, at::IntArrayRef sizes, at::IntArrayRef strides,
                              at::TensorOptions options, Names...) override {
    at::Tensor& out = tensors_[static_cast<std::size_t>(i)];
    out = strides.empty() ? at::Tensor(at::detail::empty_cpu(sizes, options))
                          : at::Tensor(at::detail::empty_strided_cpu(sizes, strides, options));
  }
  void set_output_strided(std::int64_t i, at::IntArrayRef sizes, at::IntArrayRef strides,
                          at::TensorOptions options, Names... names) override {
    set_output_raw_strided(i, sizes, strides, options, names...);
  }
  const at::Tensor& maybe_get_output(std::int64_t i) override {
    return tensors_[static_cast<std::size_t>(i)];
  }
  const at::Tensor& operator[](std::size_t i) const { return tensors_[i]; }

 private:
  std::array<at::Tensor, count> tensors_;
};

template <class Meta, std::size_t count = 1>
using Outputs = OutputsOf<Meta, count, compat::SetOutput>;

}  // namespace halftone::ops
