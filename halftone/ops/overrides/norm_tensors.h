// What the normalisations ask of their tensors before a kernel takes them.
#pragma once

#include <ATen/core/Tensor.h>
#include <initializer_list>
#include <new>
#include <optional>

#include "halftone/base/workspace.h"
#include "halftone/kernels/element.h"
#include "halftone/ops/overrides/half_tensor.h"

namespace halftone::ops {

using OptionalTensor = std::optional<at::Tensor>;

inline bool is_defined(const OptionalTensor& tensor) { return tensor && tensor->defined(); }

inline kernels::Element element_of_type(at::ScalarType type) {
  return type == at::kFloat  ? kernels::Element::fp32
         : type == at::kHalf ? kernels::Element::fp16
                             : kernels::Element::bf16;
}

constexpr at::ScalarType kNoType = at::ScalarType::Undefined;

// The format of the parameters beside an activation of type `half`: fp32, or `half` where none is
// given. kNoType where they differ, or one isn't a dense CPU vector of `length` numbers.
inline at::ScalarType parameter_type(at::ScalarType half, std::int64_t length,
                                     std::initializer_list<const OptionalTensor*> parameters) {
  at::ScalarType type = kNoType;
  for (const OptionalTensor* each : parameters) {
    if (!is_defined(*each)) continue;
    const at::Tensor& tensor = **each;
    const at::ScalarType own = tensor.scalar_type();
    if (!tensor.device().is_cpu() || tensor.layout() != at::kStrided || tensor.numel() != length ||
        !tensor.is_contiguous() || (own != at::kFloat && own != half) ||
        (type != kNoType && type != own)) {
      return kNoType;
    }
    type = own;
  }
  return type == kNoType ? half : type;
}

inline std::uint16_t* half_data_or_null(const at::Tensor& tensor) {
  return tensor.defined() ? mutable_half_data(tensor) : nullptr;
}
inline const void* data_or_null(const OptionalTensor& tensor) {
  return is_defined(tensor) ? tensor->const_data_ptr() : nullptr;
}
inline void* mutable_data_or_null(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.mutable_data_ptr() : nullptr;
}

// Of the calling thread, for the time of a kernel's call; std::bad_alloc where there is no memory.
inline void* norm_workspace(std::int64_t bytes) {
  void* data = workspace(WorkspaceSlot::layout, static_cast<std::size_t>(bytes));
  if (!data) throw std::bad_alloc();
  return data;
}

}  // namespace halftone::ops
