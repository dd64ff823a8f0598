#include "halftone/kernels/group_norm/driver.h"

#include <cmath>

#include "halftone/base/parallel.h"

namespace halftone::kernels {
namespace {

// What batch normalisation's passes take at once: one image of channels_last, else all images,
// whose channels then lie one behind the other. Its channels are numbered from 0; so are its
// groups.
struct Units {
  explicit Units(const BatchNormShape& shape, std::int64_t groups_per_image)
      : columns(shape.channels_last || shape.plane == 1),
        count(columns ? shape.batch : 1),
        images(columns ? 1 : shape.batch),
        plan({columns, 1, images * shape.channels, shape.plane}),
        groups(images * groups_per_image),
        depth(groups_per_image > 0 ? shape.channels / groups_per_image : 0),
        elements(images * shape.channels * shape.plane) {}

  bool columns;
  std::int64_t count, images;
  BatchNormPlan plan;
  std::int64_t groups, depth;  // channels of a group
  std::int64_t elements;
};

std::int64_t scratch_bytes(const BatchNormPlan& plan) {
  return (BatchNormScratch::bytes(plan) + 7) / 8 * 8;
}

BatchNormScratch scratch_of(const Units& units, void* workspace, std::int64_t unit) {
  return {units.plan, static_cast<char*>(workspace) + unit * scratch_bytes(units.plan)};
}

float group_parameter(Element format, const void* values, std::int64_t c, float otherwise) {
  return values ? element_value(format, values, c) : otherwise;
}

// body(unit) for all, in parallel where there are several: their own passes are then serial.
template <class Body>
void for_each_unit(const Units& units, Body&& body) {
  parallel_for(0, units.count, 1, [&](std::int64_t from, std::int64_t to) {
    for (std::int64_t unit = from; unit < to; ++unit) body(unit);
  });
}

struct GroupStatistics {
  double mean, var;
};

// Of the channels' sums, all centred on the group's center.
GroupStatistics group_statistics(const Units& units, const BatchNormScratch& scratch,
                                 std::int64_t first, double center) {
  double sum = 0, square = 0;
  for (std::int64_t c = first; c < first + units.depth; ++c) {
    sum += scratch.sums[c];
    square += scratch.sums[units.plan.width + c];
  }
  const double n = static_cast<double>(units.depth) * static_cast<double>(units.plan.count);
  const double distance = sum / n;
  const double var = std::isfinite(distance) ? square / n - distance * distance : NAN;
  return {center + distance, var < 0 ? 0 : var};
}

// The statistics of a unit's groups, into mean[group] and var[group]; scratch.array(0) is used.
void find_groups(const BatchNormPasses& passes, const Units& units,
                 const GroupNormForwardArgs& args, const std::uint16_t* x,
                 const BatchNormScratch& scratch, float* means, float* vars) {
  constexpr double kFar = 16;  // as for batch normalisation: the pass is repeated
  float* center = scratch.array(0);
  passes.sample(units.plan, args.format, x, center);
  for (std::int64_t g = 0; g < units.groups; ++g) {
    double sum = 0;
    for (std::int64_t c = 0; c < units.depth; ++c) sum += center[g * units.depth + c];
    const auto mean = static_cast<float>(sum / static_cast<double>(units.depth));
    means[g] = std::isfinite(mean) ? mean : 0;
  }
  BatchNormSums pass{};
  pass.format = args.format;
  pass.x = x;
  pass.center = center;
  pass.partial = scratch.partial;
  for (int attempt = 0;; ++attempt) {
    for (std::int64_t c = 0; c < units.plan.channels; ++c) center[c] = means[c / units.depth];
    batch_norm_spread(units.plan, center);
    batch_norm_add_up(passes, units.plan, pass, scratch.sums);
    bool far = false;
    for (std::int64_t g = 0; g < units.groups; ++g) {
      const double before = means[g];
      const GroupStatistics s = group_statistics(units, scratch, g * units.depth, before);
      const double distance = s.mean - before;
      far = far || (std::isfinite(s.mean) && distance * distance > kFar * s.var &&
                    static_cast<float>(s.mean) != means[g]);
      vars[g] = static_cast<float>(s.var);
      means[g] = static_cast<float>(s.mean);
    }
    if (!far || attempt == 1) return;
    for (std::int64_t g = 0; g < units.groups; ++g) {
      if (!std::isfinite(means[g])) means[g] = 0;
    }
  }
}

void forward_unit(const BatchNormPasses& passes, const Units& units,
                  const GroupNormForwardArgs& args, std::int64_t unit) {
  const BatchNormScratch scratch = scratch_of(units, args.workspace, unit);
  const std::uint16_t* x = args.x + unit * units.elements;
  // A group has at least one channel: the arrays of the channels hold its numbers.
  float *means = scratch.array(1), *vars = scratch.array(2);
  float *scale = scratch.array(3), *shift = scratch.array(4);
  find_groups(passes, units, args, x, scratch, means, vars);
  for (std::int64_t g = 0; g < units.groups; ++g) {
    const auto invstd = static_cast<float>(1 / std::sqrt(static_cast<double>(vars[g]) + args.eps));
    set_element(args.statistics, args.mean, unit * units.groups + g, means[g]);
    set_element(args.statistics, args.invstd, unit * units.groups + g, invstd);
    for (std::int64_t c = g * units.depth; c < (g + 1) * units.depth; ++c) {
      const std::int64_t channel = c % args.shape.channels;
      const double slope =
          static_cast<double>(group_parameter(args.parameters, args.weight, channel, 1)) * invstd;
      scale[c] = static_cast<float>(slope);
      shift[c] = static_cast<float>(group_parameter(args.parameters, args.bias, channel, 0) -
                                    means[g] * slope);
    }
  }
  batch_norm_spread(units.plan, scale);
  batch_norm_spread(units.plan, shift);
  const BatchNormApply pass{args.format, x,    nullptr, false, args.y + unit * units.elements,
                            scale,       shift};
  parallel_for(0, units.plan.items, units.plan.grain, [&](std::int64_t from, std::int64_t to) {
    passes.apply(units.plan, pass, from, to);
  });
}

// Writes dx, and [2][channels of the unit] of sum dy and sum dy xhat.
void backward_unit(const BatchNormPasses& passes, const Units& units,
                   const GroupNormBackwardArgs& args, std::int64_t unit, double* channel_sums) {
  const BatchNormScratch scratch = scratch_of(units, args.workspace, unit);
  const std::int64_t at = unit * units.elements, channels = units.plan.channels;
  float *center = scratch.array(0), *factor = scratch.array(1);
  float *slope = scratch.array(2), *offset = scratch.array(3);
  const auto statistic = [&](const void* values, std::int64_t g) {
    return element_value(args.statistics, values, unit * units.groups + g);
  };
  for (std::int64_t c = 0; c < channels; ++c) center[c] = statistic(args.mean, c / units.depth);
  batch_norm_spread(units.plan, center);
  BatchNormSums pass{};
  pass.format = args.format;
  pass.x = args.x + at, pass.dy = args.dy + at;
  pass.center = center;
  pass.partial = scratch.partial;
  batch_norm_add_up(passes, units.plan, pass, scratch.sums);
  const double n = static_cast<double>(units.depth) * static_cast<double>(units.plan.count);
  for (std::int64_t g = 0; g < units.groups; ++g) {
    const double invstd = statistic(args.invstd, g);
    double sum = 0, product = 0;
    for (std::int64_t c = g * units.depth; c < (g + 1) * units.depth; ++c) {
      const double weight =
          group_parameter(args.parameters, args.weight, c % args.shape.channels, 1);
      channel_sums[c] = scratch.sums[c];
      channel_sums[channels + c] = scratch.sums[units.plan.width + c] * invstd;
      sum += weight * channel_sums[c];
      product += weight * channel_sums[channels + c];
      factor[c] = static_cast<float>(weight * invstd);
    }
    const double steep = -invstd * invstd * product / n;
    for (std::int64_t c = g * units.depth; c < (g + 1) * units.depth; ++c) {
      slope[c] = static_cast<float>(steep);
      offset[c] = static_cast<float>(-invstd * sum / n - center[c] * steep);
    }
  }
  if (!args.dx) return;
  for (float* each : {factor, slope, offset}) batch_norm_spread(units.plan, each);
  const BatchNormGradient gradient{
      args.format, args.x + at, args.dy + at, nullptr, BatchNormMask::none, args.dx + at, factor,
      factor,      factor,      slope,        offset};
  parallel_for(0, units.plan.items, units.plan.grain, [&](std::int64_t from, std::int64_t to) {
    passes.gradient(units.plan, gradient, from, to);
  });
}

}  // namespace

std::int64_t group_norm_workspace(const BatchNormShape& shape) {
  const Units units(shape, 1);
  return units.count * scratch_bytes(units.plan) + 16 * shape.batch * shape.channels + 8;
}

void group_norm_forward_by(const BatchNormPasses& passes, const GroupNormForwardArgs& args) {
  const Units units(args.shape, args.groups);
  if (units.plan.items == 0) return;
  for_each_unit(units, [&](std::int64_t unit) { forward_unit(passes, units, args, unit); });
}

void group_norm_backward_by(const BatchNormPasses& passes, const GroupNormBackwardArgs& args) {
  const Units units(args.shape, args.groups);
  const std::int64_t channels = args.shape.channels;
  auto* sums = reinterpret_cast<double*>(static_cast<char*>(args.workspace) +
                                         units.count * scratch_bytes(units.plan));
  if (units.plan.items != 0) {
    for_each_unit(units, [&](std::int64_t unit) {
      backward_unit(passes, units, args, unit, sums + unit * 2 * units.plan.channels);
    });
  }
  for (std::int64_t c = 0; c < channels; ++c) {
    double dbias = 0, dweight = 0;
    for (std::int64_t image = 0; units.plan.items != 0 && image < args.shape.batch; ++image) {
      const std::int64_t unit = image / units.images, within = image % units.images;
      const double* of = sums + unit * 2 * units.plan.channels + within * channels;
      dbias += of[c];
      dweight += of[units.plan.channels + c];
    }
    if (args.dbias) set_element(args.parameters, args.dbias, c, static_cast<float>(dbias));
    if (args.dweight) set_element(args.parameters, args.dweight, c, static_cast<float>(dweight));
  }
}

}  // namespace halftone::kernels
