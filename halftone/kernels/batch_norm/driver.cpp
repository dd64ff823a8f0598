#include <algorithm>
#include <cmath>

#include "halftone/base/parallel.h"
#include "halftone/kernels/batch_norm/passes.h"

namespace halftone::kernels {
namespace {

// The mean that the sums were centred on was far off: 4 standard deviations.
constexpr double kFar = 16;
// Columns below which adding partial sums isn't handed to a thread.
constexpr std::int64_t kMergeGrain = 256;

double inverse_deviation(double var, double eps) {
  return var == 0 && eps == 0 ? 0 : 1 / std::sqrt(var + eps);
}

float parameter(Element format, const void* values, std::int64_t c, float otherwise) {
  return values ? element_value(format, values, c) : otherwise;
}

// scale and shift of a channel, from numbers that are all stored: backward finds the same bits.
void coefficients(float weight, float bias, float mean, float invstd, float& scale, float& shift) {
  scale = static_cast<float>(static_cast<double>(weight) * invstd);
  shift = static_cast<float>(bias - static_cast<double>(mean) * scale);
}

// Mean and variance of every channel: into sums[c] and sums[width + c].
void compute_statistics(const BatchNormPasses& passes, const BatchNormPlan& plan,
                        const BatchNormForwardArgs& args, const BatchNormScratch& scratch) {
  float* center = scratch.array(0);
  passes.sample(plan, args.format, args.x, center);
  for (std::int64_t c = 0; c < plan.channels; ++c) {
    if (!std::isfinite(center[c])) center[c] = 0;
  }
  BatchNormSums pass{};
  pass.format = args.format;
  pass.x = args.x;
  pass.center = center;
  pass.partial = scratch.partial;
  const auto n = static_cast<double>(plan.count);
  for (int attempt = 0;; ++attempt) {
    batch_norm_spread(plan, center);
    batch_norm_add_up(passes, plan, pass, scratch.sums);
    bool far = false;
    for (std::int64_t c = 0; c < plan.channels; ++c) {
      const double distance = scratch.sums[c] / n;
      const double var = std::max(0.0, scratch.sums[plan.width + c] / n - distance * distance);
      const double mean = center[c] + distance;
      far = far || (std::isfinite(distance) && distance * distance > kFar * var &&
                    static_cast<float>(mean) != center[c]);
      scratch.sums[c] = mean;
      scratch.sums[plan.width + c] = std::isfinite(distance) ? var : NAN;
    }
    if (!far || attempt == 1) return;
    for (std::int64_t c = 0; c < plan.channels; ++c) {
      if (std::isfinite(scratch.sums[c])) center[c] = static_cast<float>(scratch.sums[c]);
    }
  }
}

void move_running(const BatchNormForwardArgs& args, std::int64_t c, double mean, double var,
                  double n) {
  const auto move = [&](void* running, double to) {
    if (!running) return;
    const double from = element_value(args.parameters, running, c);
    set_element(args.parameters, running, c,
                static_cast<float>(args.momentum * to + (1 - args.momentum) * from));
  };
  move(args.running_mean, mean);
  move(args.running_var, var * n / (n - 1));
}

// mean and invstd of every channel into arrays 0 and 1, and wherever else they belong.
void find_statistics(const BatchNormPasses& passes, const BatchNormPlan& plan,
                     const BatchNormForwardArgs& args, const BatchNormScratch& scratch) {
  float *mean = scratch.array(0), *invstd = scratch.array(1);
  if (args.source == BatchNormStatistics::computed) {
    compute_statistics(passes, plan, args, scratch);
  }
  for (std::int64_t c = 0; c < plan.channels; ++c) {
    if (args.source == BatchNormStatistics::given) {
      mean[c] = element_value(args.statistics, args.mean, c);
      invstd[c] = element_value(args.statistics, args.invstd, c);
    } else if (args.source == BatchNormStatistics::running) {
      mean[c] = element_value(args.parameters, args.running_mean, c);
      invstd[c] = static_cast<float>(
          inverse_deviation(element_value(args.parameters, args.running_var, c), args.eps));
    } else {
      const double var = scratch.sums[plan.width + c];
      mean[c] = static_cast<float>(scratch.sums[c]);
      invstd[c] = static_cast<float>(inverse_deviation(var, args.eps));
      if (args.mean) set_element(args.statistics, args.mean, c, mean[c]);
      if (args.invstd) set_element(args.statistics, args.invstd, c, invstd[c]);
      move_running(args, c, scratch.sums[c], var, static_cast<double>(plan.count));
    }
  }
}

void backward_statistics(const BatchNormPlan& plan, const BatchNormBackwardArgs& args, float* mean,
                         float* invstd) {
  for (std::int64_t c = 0; c < plan.channels; ++c) {
    if (args.constant_statistics) {
      mean[c] = element_value(args.parameters, args.running_mean, c);
      invstd[c] = static_cast<float>(
          inverse_deviation(element_value(args.parameters, args.running_var, c), args.eps));
    } else {
      mean[c] = element_value(args.statistics, args.mean, c);
      invstd[c] = element_value(args.statistics, args.invstd, c);
    }
  }
  batch_norm_spread(plan, mean);
}

}  // namespace

void batch_norm_spread(const BatchNormPlan& plan, float* values) {
  for (std::int64_t j = plan.channels; j < plan.width; ++j) values[j] = values[j - plan.channels];
}

void batch_norm_add_up(const BatchNormPasses& passes, const BatchNormPlan& plan,
                       const BatchNormSums& pass, double* sums) {
  parallel_for(0, plan.items, plan.grain,
               [&](std::int64_t from, std::int64_t to) { passes.sums(plan, pass, from, to); });
  const std::int64_t both = 2 * plan.width;
  parallel_for(0, both, kMergeGrain, [&](std::int64_t from, std::int64_t to) {
    for (std::int64_t j = from; j < to; ++j) sums[j] = 0;
    for (std::int64_t group = 0; group < plan.groups; ++group) {
      const float* partial = pass.partial + group * both;
      for (std::int64_t j = from; j < to; ++j) sums[j] += partial[j];
    }
  });
  for (std::int64_t first : {std::int64_t{0}, plan.width}) {
    for (std::int64_t copy = 1; copy < plan.copies; ++copy) {
      for (std::int64_t c = 0; c < plan.channels; ++c) {
        sums[first + c] += sums[first + copy * plan.channels + c];
      }
    }
  }
}

std::int64_t batch_norm_workspace(const BatchNormShape& shape) {
  return BatchNormScratch::bytes(BatchNormPlan(shape));
}

void batch_norm_forward_by(const BatchNormPasses& passes, const BatchNormForwardArgs& args) {
  const BatchNormPlan plan(args.shape);
  if (plan.items == 0) return;
  const BatchNormScratch scratch(plan, args.workspace);
  find_statistics(passes, plan, args, scratch);
  float *scale = scratch.array(2), *shift = scratch.array(3);
  for (std::int64_t c = 0; c < plan.channels; ++c) {
    coefficients(parameter(args.parameters, args.weight, c, 1),
                 parameter(args.parameters, args.bias, c, 0), scratch.array(0)[c],
                 scratch.array(1)[c], scale[c], shift[c]);
  }
  batch_norm_spread(plan, scale);
  batch_norm_spread(plan, shift);
  const BatchNormApply pass{args.format, args.x, args.residual, args.relu, args.y, scale, shift};
  parallel_for(0, plan.items, plan.grain,
               [&](std::int64_t from, std::int64_t to) { passes.apply(plan, pass, from, to); });
}

void batch_norm_backward_by(const BatchNormPasses& passes, const BatchNormBackwardArgs& args) {
  const BatchNormPlan plan(args.shape);
  if (plan.items == 0) {
    for (std::int64_t c = 0; c < plan.channels; ++c) {
      if (args.dweight) set_element(args.parameters, args.dweight, c, 0);
      if (args.dbias) set_element(args.parameters, args.dbias, c, 0);
    }
    return;
  }
  const BatchNormScratch scratch(plan, args.workspace);
  float *mean = scratch.array(0), *invstd = scratch.array(1);
  float *scale = scratch.array(2), *shift = scratch.array(3);
  float *slope = scratch.array(4), *offset = scratch.array(5);
  backward_statistics(plan, args, mean, invstd);
  for (std::int64_t c = 0; c < plan.channels; ++c) {
    coefficients(parameter(args.parameters, args.weight, c, 1),
                 parameter(args.parameters, args.bias, c, 0), mean[c], invstd[c], scale[c],
                 shift[c]);
  }
  batch_norm_spread(plan, scale);
  batch_norm_spread(plan, shift);

  const std::uint16_t* dy = args.dy;
  BatchNormMask mask = args.mask;
  const bool corrected = args.dx && !args.constant_statistics;
  if (corrected || args.dweight || args.dbias || args.dresidual) {
    BatchNormSums pass{};
    pass.format = args.format;
    pass.x = args.x, pass.dy = dy, pass.y = args.y;
    pass.mask = mask;
    pass.masked = args.dresidual;
    pass.center = mean;
    pass.scale = scale, pass.shift = shift;
    pass.partial = scratch.partial;
    batch_norm_add_up(passes, plan, pass, scratch.sums);
    if (args.dresidual) dy = args.dresidual, mask = BatchNormMask::none;
  }
  const auto n = static_cast<double>(plan.count);
  for (std::int64_t c = 0; c < plan.channels; ++c) {
    const double sum = scratch.sums[c], product = scratch.sums[plan.width + c] * invstd[c];
    if (args.dbias) set_element(args.parameters, args.dbias, c, static_cast<float>(sum));
    if (args.dweight) set_element(args.parameters, args.dweight, c, static_cast<float>(product));
    if (!corrected) continue;
    const double steep = -static_cast<double>(scale[c]) * invstd[c] * product / n;
    slope[c] = static_cast<float>(steep);
    offset[c] = static_cast<float>(-static_cast<double>(scale[c]) * sum / n - mean[c] * steep);
  }
  if (!args.dx) return;
  if (corrected) {
    batch_norm_spread(plan, slope);
    batch_norm_spread(plan, offset);
  }
  const BatchNormGradient pass{args.format, args.x, dy,    args.y, mask,
                               args.dx,     scale,  shift, scale,  corrected ? slope : nullptr,
                               offset};
  parallel_for(0, plan.items, plan.grain,
               [&](std::int64_t from, std::int64_t to) { passes.gradient(plan, pass, from, to); });
}

}  // namespace halftone::kernels
