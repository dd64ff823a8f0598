#include "halftone/kernels/activation/table.h"

#include <cmath>
#include <memory>
#include <mutex>

namespace halftone::kernels {
namespace {

constexpr int kHalves = 65536;
constexpr double kRootHalf = 0.70710678118654752440;
constexpr double kRootTwoOverPi = 0.79788456080286535588;
constexpr double kCubic = 0.044715;

double logistic(double x) { return 1 / (1 + std::exp(-x)); }

// 2 u of gelu_tanh, and its slope.
double twice_inner(double x) { return 2 * kRootTwoOverPi * (x + kCubic * x * x * x); }
double twice_inner_slope(double x) { return 2 * kRootTwoOverPi * (1 + 3 * kCubic * x * x); }

// No difference of nearly equal numbers: the tails keep their relative precision.
double value(ActivationFunction activation, double x) {
  switch (activation) {
    case ActivationFunction::gelu:
      return x * 0.5 * std::erfc(-x * kRootHalf);
    case ActivationFunction::gelu_tanh:
      return x * logistic(twice_inner(x));
    default:
      return x * logistic(x);
  }
}

double slope(ActivationFunction activation, double x) {
  switch (activation) {
    case ActivationFunction::gelu:
      return 0.5 * std::erfc(-x * kRootHalf) + x * 0.5 * kRootTwoOverPi * std::exp(-0.5 * x * x);
    case ActivationFunction::gelu_tanh: {
      const double u = twice_inner(x);
      return logistic(u) + x * logistic(u) * logistic(-u) * twice_inner_slope(x);
    }
    default:
      return logistic(x) * (1 + x * logistic(-x));
  }
}

// One per activation and format; never freed.
template <class Number>
struct Table {
  std::once_flag once;
  std::unique_ptr<Number[]> numbers;

  template <class Fill>
  const Number* get(Fill fill) {
    std::call_once(once, [&] {
      numbers = std::make_unique<Number[]>(kHalves);
      for (int i = 0; i < kHalves; ++i) numbers[i] = fill(static_cast<std::uint16_t>(i));
    });
    return numbers.get();
  }
};

int table_index(ActivationFunction activation, HalfFormat format) {
  return 2 * static_cast<int>(activation) + (format == HalfFormat::fp16);
}

}  // namespace

const std::uint16_t* activation_table(ActivationFunction activation, HalfFormat format) {
  static Table<std::uint16_t> tables[6];
  return tables[table_index(activation, format)].get([=](std::uint16_t bits) {
    return float_to_half(format,
                         static_cast<float>(value(activation, half_to_float(format, bits))));
  });
}

const float* slope_table(ActivationFunction activation, HalfFormat format) {
  static Table<float> tables[6];
  return tables[table_index(activation, format)].get([=](std::uint16_t bits) {
    return static_cast<float>(slope(activation, half_to_float(format, bits)));
  });
}

}  // namespace halftone::kernels
