// A product's right operand as a rung's unit reads it, packed once for many products.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "halftone/base/export.h"

namespace halftone::kernels {

struct ProductArgs;

// Belongs to the unit that packed it. Where another one runs (the rung was changed, a case was
// refused) the product reads B itself. Safe to read from many threads.
class PackedOperand {
 public:
  // Nothing is packed: where the reference rung is in force.
  bool empty() const { return !data_; }
  std::size_t bytes() const { return bytes_; }

  // For the rungs. allocate() throws std::bad_alloc.
  HALFTONE_API void* allocate(const void* unit, std::int64_t n, std::int64_t k, std::size_t bytes);
  void clear() { *this = PackedOperand(); }
  const void* of(const void* unit, std::int64_t n, std::int64_t k) const {
    return unit == unit_ && n == n_ && k == k_ ? data_.get() : nullptr;
  }

 private:
  struct Free {
    void operator()(void* data) const { std::free(data); }
  };
  std::unique_ptr<void, Free> data_;
  const void* unit_ = nullptr;
  std::int64_t n_ = 0, k_ = 0;
  std::size_t bytes_ = 0;
};

// B of `args` for the unit that product(args) runs on now: only format, n, k, b and b_transposed
// count. Takes as much memory as the unit's elements: those of B on units that multiply halves,
// twice of it on those that convert to fp32. std::bad_alloc where there is none.
HALFTONE_API PackedOperand pack_right_operand(const ProductArgs& args);

}  // namespace halftone::kernels
