#include "halftone/numerics/format_fit.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace halftone::numerics {
namespace {

constexpr int kBias = 127;
// The mean of x² over [1, 2), and of the square of an even error of one unit.
constexpr double kMeanSquare = 7.0 / 3, kMeanError = 1.0 / 12;

// Of the binade [2^exponent, 2^(exponent+1)): how much lies above `bound`.
double share_above(int exponent, double bound) {
  const double low = std::ldexp(1.0, exponent);
  if (bound <= low) return 1;
  return bound >= 2 * low ? 0 : (2 * low - bound) / low;
}

// The distance of the format's numbers around 2^exponent, in the tensor's units.
double spacing(int exponent, const CandidateFormat& format, double unit) {
  if (format.integer) return unit;
  const int in_format = exponent - static_cast<int>(std::floor(std::log2(unit)));
  const int shift = exponent - in_format;
  return std::ldexp(1.0, std::max(in_format, format.min_exponent) - format.mantissa_bits + shift);
}

}  // namespace

double headroom_bits(double amax, const CandidateFormat& format) {
  return amax > 0 ? std::log2(format.max / amax) : std::numeric_limits<double>::infinity();
}

FormatFit fit_format(const ExponentHistogram& exponents, std::int64_t zeros, double amax,
                     const CandidateFormat& format) {
  FormatFit fit;
  double count = 0, signal = 0, noise = 0;
  // What one of the format's own units is worth in the tensor: 1 unless it is scaled.
  const double unit = format.scaled && amax > 0 ? amax / format.max : 1;
  const double smallest =
      (format.integer ? 1 : std::ldexp(1.0, format.min_exponent - format.mantissa_bits)) * unit;
  const double normal = format.integer ? smallest : std::ldexp(unit, format.min_exponent);
  const double largest = format.max * unit;
  for (int field = 0; field < 255; ++field) {
    const auto n =
        static_cast<double>(exponents[static_cast<std::size_t>(field)] - (field == 0 ? zeros : 0));
    if (n <= 0) continue;
    const int exponent = (field == 0 ? 1 : field) - kBias;
    const double power = kMeanSquare * std::ldexp(1.0, 2 * exponent);
    const double above = amax > largest ? share_above(exponent, largest) : 0;
    const double below = 1 - share_above(exponent, smallest / 2);
    const double error = spacing(exponent, format, unit);
    count += n;
    signal += n * power;
    fit.overflow += n * above;
    fit.underflow += n * below;
    fit.subnormal += n * (1 - below - share_above(exponent, normal));
    const double excess = std::max(0.0, std::ldexp(1.5, exponent) - largest);
    noise += n * (below * power + above * excess * excess +
                  (1 - below - above) * kMeanError * error * error);
  }
  if (count == 0) return {0, 0, 0, std::numeric_limits<double>::infinity()};
  fit.overflow /= count;
  fit.underflow /= count;
  fit.subnormal = std::max(0.0, fit.subnormal / count);
  fit.sqnr_db = 10 * std::log10(signal / noise);
  return fit;
}

}  // namespace halftone::numerics
