// What a tensor holds, in a line: format, shape, smallest and largest value, what is not finite.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "halftone/base/export.h"

namespace at {
class Tensor;
}
namespace c10 {
enum class ScalarType : std::int8_t;
}

namespace halftone::numerics {

struct TensorRange {
  std::string format;  // "fp16", "fp32", …; LibTorch's name in lower case for other types
  std::vector<std::int64_t> shape;
  bool floating = false;  // what follows is known of floating-point tensors alone
  std::int64_t count = 0;
  // Of the finite values; low > high where there is none.
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  std::int64_t zeros = 0, nans = 0, positive_infinities = 0, negative_infinities = 0;

  std::int64_t not_finite() const { return nans + positive_infinities + negative_infinities; }
  bool finite() const { return not_finite() == 0; }
  // The largest finite magnitude; 0 where there is none.
  double amax() const;

  // "fp16 (128, 64)  -3.2 to 4.1, 7 of 8192 zero, 2 NaN, 1 +inf".
  HALFTONE_API std::string text() const;
};

// Four digits: "-3.142", "6.55e+04".
std::string short_number(double value);

// "fp32", "fp16", "int64", …
std::string type_name(c10::ScalarType type);

// Reads the tensor once (kernels/range on a CPU; LibTorch's operations on other devices, and for
// fp64 and complex numbers, whose parts are looked at). Sparse and undefined tensors have no range.
HALFTONE_API TensorRange measure_range(const at::Tensor& tensor);

}  // namespace halftone::numerics
