// A convolution's operands, results and exact results: for the tests of all its kernels.
#pragma once

#include <sstream>
#include <string>

#include "halftone/kernels/conv2d/conv2d.h"
#include "tests/kernels/half_matrix.h"

namespace halftone::kernels {

inline std::string describe(const Conv2dShape& s) {
  std::ostringstream text;
  text << "batch " << s.batch << " channels " << s.channels << " filters " << s.filters
       << " groups " << s.groups << " input " << s.input.h << "x" << s.input.w << " window "
       << s.window.h << "x" << s.window.w << " stride " << s.stride.h << "," << s.stride.w
       << " padding " << s.padding.h << "," << s.padding.w << " dilation " << s.dilation.h << ","
       << s.dilation.w;
  return text.str();
}

// Inputs, results and the exact results of all three directions.
struct Convolution {
  Convolution(HalfFormat format, const Conv2dShape& shape) {
    args.format = format;
    args.shape = shape;
    args.shape.output = conv2d_output(shape);
    const Conv2dShape& s = args.shape;
    x = normal_halves(format, s.batch * s.input.h * s.input.w * s.channels, 1);
    weight = normal_halves(format, s.filters * s.window.h * s.window.w * s.channels / s.groups, 2);
    bias = normal_halves(format, s.filters, 3);
    dy = normal_halves(format, s.batch * s.output.h * s.output.w * s.filters, 4);
    y.resize(dy.size()), dx.resize(x.size()), dweight.resize(weight.size());
    args.x = x.data(), args.weight = weight.data(), args.bias = bias.data(), args.dy = dy.data();
    args.y = y.data(), args.dx = dx.data(), args.dweight = dweight.data();
    args.dweight_fp32 = true;
  }
  Convolution(const Convolution&) = delete;

  void run() {
    conv2d_forward(args);
    conv2d_backward_data(args);
    conv2d_backward_weights(args);
  }

  double value(std::uint16_t bits) const { return value_of(args.format, bits); }

  void compute_exact();

  Conv2dArgs args;
  Halves x, weight, bias, dy, y, dx;
  std::vector<float> dweight;
  std::vector<double> exact_y, exact_dx, exact_dweight;
};

inline void Convolution::compute_exact() {
  const Conv2dShape& s = args.shape;
  exact_y.assign(y.size(), 0), exact_dx.assign(x.size(), 0), exact_dweight.assign(weight.size(), 0);
  const std::int64_t depth = s.channels / s.groups, filters = s.filters / s.groups;
  std::size_t at = 0;
  for (std::int64_t row = 0; row < s.batch * s.output.h * s.output.w; ++row) {
    const std::int64_t entry = row / s.output.w / s.output.h;
    const std::int64_t oh = row / s.output.w % s.output.h, ow = row % s.output.w;
    for (std::int64_t f = 0; f < s.filters; ++f, ++at) {
      exact_y[at] += value(bias[static_cast<std::size_t>(f)]);
      for (std::int64_t tap = 0; tap < s.window.h * s.window.w; ++tap) {
        const std::int64_t r = tap / s.window.w, c = tap % s.window.w;
        const std::int64_t ih = oh * s.stride.h - s.padding.h + r * s.dilation.h;
        const std::int64_t iw = ow * s.stride.w - s.padding.w + c * s.dilation.w;
        if (ih < 0 || ih >= s.input.h || iw < 0 || iw >= s.input.w) continue;
        for (std::int64_t d = 0; d < depth; ++d) {
          const auto xi = static_cast<std::size_t>(
              ((entry * s.input.h + ih) * s.input.w + iw) * s.channels + f / filters * depth + d);
          const auto wi = static_cast<std::size_t>((f * s.window.h * s.window.w + tap) * depth + d);
          exact_y[at] += value(x[xi]) * value(weight[wi]);
          exact_dx[xi] += value(dy[at]) * value(weight[wi]);
          exact_dweight[wi] += value(dy[at]) * value(x[xi]);
        }
      }
    }
  }
}

}  // namespace halftone::kernels
