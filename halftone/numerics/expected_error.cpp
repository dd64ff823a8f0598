#include "halftone/numerics/expected_error.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "halftone/base/text.h"
#include "halftone/precision/cast_table.h"
#include "halftone/precision/emulation.h"
#include "halftone/precision/number_formats.h"
#include "halftone/precision/quantize.h"

namespace halftone::numerics {
namespace {

constexpr double kUnitFp32 = 0x1p-24;
constexpr int kRoundingsOfLowered = 3;

double unit_roundoff(c10::ScalarType type) {
  if (type == at::kHalf) return 0x1p-11;
  if (type == at::kBFloat16) return 0x1p-8;
  return type == at::kDouble ? 0x1p-53 : kUnitFp32;
}

// Normal values have their largest magnitude, to which fixed point is scaled, at about as many
// deviations.
constexpr double kDeviationsToAmax = 4;

// Of an emulated format; 0 where nothing is emulated.
double emulated_roundoff(const std::string& format) {
  if (format == "none") return 0;
  const kernels::NumberFormat& number = number_format(format);
  if (number.is_fixed_point()) return kDeviationsToAmax / (2 * largest_number(format));
  return std::exp2(-(number.mantissa_bits + 1));
}

struct Rounding {
  double forward = 0, backward = 0;  // squared
};

class Roundings {
 public:
  explicit Roundings(const Policy& policy) : policy_(policy) {}

  Rounding of(const RecordedOperation& operation) const {
    const bool lowered = is_lowered(operation.operation);
    const double u = unit_roundoff(operation.output.scalar_type());
    const double sums = static_cast<double>(operation.length) * kUnitFp32 * kUnitFp32;
    const double native = (lowered ? kRoundingsOfLowered : 1) * u * u + sums;
    if (!emulated(operation)) return {native, native};
    const double weight = emulated_roundoff(policy_.emulation.weights);
    const double input = emulated_roundoff(policy_.emulation.activations);
    const double gradient = emulated_roundoff(policy_.emulation.gradients);
    return {native + weight * weight + input * input,
            native + weight * weight + gradient * gradient};
  }

 private:
  // Whether it is one of the ends does not matter: they may have less error than expected.
  bool emulated(const RecordedOperation& operation) const {
    return policy_.emulation.active() && product_of(operation.operation) &&
           !operation.parameter.empty() && !policy_.module_format(operation.parameter) &&
           !policy_.operation_format(operation.operation);
  }

  const Policy& policy_;
};

bool has_kink(const std::string& operation) {
  return glob_match_any("*relu* *max_pool* threshold* clamp* hardtanh* max amax abs", operation);
}

// What is linear in its input has a derivative that does not know it.
bool is_linear(const std::string& operation) {
  return is_lowered(operation) ||
         glob_match_any("add add_ sub sub_ mean sum *avg_pool* *dropout* embedding cat stack",
                        operation);
}

double gain(const RecordedOperation& operation) {
  return is_exponential(operation.operation) ? std::max(1.0, operation.input_rms) : 1.0;
}

}  // namespace

std::vector<ExpectedErrors> expected_errors(const std::vector<RecordedOperation>& operations,
                                            const Policy& policy) {
  const Roundings roundings(policy);
  std::vector<ExpectedErrors> expected(operations.size());
  std::vector<double> into(operations.size());  // squared errors of the inputs
  double squared = 0;
  for (std::size_t i = 0; i < operations.size(); ++i) {
    into[i] = squared;
    squared = squared * std::pow(gain(operations[i]), 2) + roundings.of(operations[i]).forward;
    expected[i].output = std::sqrt(squared);
  }
  for (std::size_t i = operations.size(); i-- > 0;) {
    expected[i].gradient = std::sqrt(squared);
    squared += roundings.of(operations[i]).backward;
    if (has_kink(operations[i].operation)) squared += 2 / std::numbers::pi * std::sqrt(into[i]);
    if (!is_linear(operations[i].operation)) squared += into[i];
  }
  return expected;
}

}  // namespace halftone::numerics
