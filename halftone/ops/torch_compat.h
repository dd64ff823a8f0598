// What differs between LibTorch 2.11 and 2.14, guarded here and nowhere else. Everything is chosen
// by the types that the headers declare, not by a version number, so that nightlies work too.
#pragma once

#include <ATen/TensorMeta.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <string_view>
#include <type_traits>

namespace halftone::compat {

// A node of the autograd graph: shared_ptr up to 2.12, intrusive_ptr from 2.13.
using NodePtr = std::remove_cvref_t<decltype(std::declval<const at::Tensor&>().grad_fn())>;

// An operation's kernel at one dispatch key, as it was when asked for.
using StockKernel =
    std::remove_cvref_t<decltype(std::declval<const c10::OperatorHandle&>()
                                     .getComputedKernelForDispatchKey(c10::DispatchKey::CPU))>;

// How a structured operation's shape function asks for an output: with dimension names up to 2.12.
using SetOutput = decltype(&at::impl::MetaBase::set_output_strided);

// A slot of our own in the state that LibTorch carries to other threads (at::launch, backward).
// name: with static storage duration. Up to 2.12 a kind is a number, later the name's address.
template <class Kind = c10::DebugInfoKind>
constexpr Kind debug_info_kind([[maybe_unused]] const std::string_view* name) {
  if constexpr (std::is_enum_v<Kind>) {
    return static_cast<Kind>(0x68);  // LibTorch's own end at 8
  } else {
    return Kind(name);
  }
}

}  // namespace halftone::compat
