// Batch normalisation's passes over memory, once for all rungs: behind the text of one of
// vector/vec_*.inl.h. A row's format and mask are template arguments: a branch per vector would
// cost a fifth of the bandwidth.

// Values above it round to a half above zero.
constexpr float smallest_positive(HalfFormat format) {
  return format == HalfFormat::fp16 ? 0x1p-25f : 0x1p-134f;
}

template <bool part>
HALFTONE_RUNG Vec read(HalfFormat format, const std::uint16_t* p, std::int64_t count) {
  return part ? load_half_part(format, p, count) : load_half(format, p);
}
template <bool part>
HALFTONE_RUNG Vec read(const float* p, std::int64_t count) {
  return part ? load_part(p, count) : load(p);
}
template <bool part>
HALFTONE_RUNG void write(float* p, Vec value, std::int64_t count) {
  part ? store_part(p, value, count) : store(p, value);
}
template <bool part>
HALFTONE_RUNG void write(HalfFormat format, std::uint16_t* p, Vec value, std::int64_t count) {
  part ? store_half_part(format, p, value, count) : store_half(format, p, value);
}

// The gradient behind ReLU.
template <HalfFormat format, BatchNormMask mask, bool part, class Pass>
HALFTONE_RUNG Vec masked_gradient(const Pass& pass, std::int64_t i, Vec x, Vec scale, Vec shift,
                                  std::int64_t count) {
  const Vec g = read<part>(format, pass.dy + i, count);
  if constexpr (mask == BatchNormMask::output) {
    return where_le(read<part>(format, pass.y + i, count), splat(0), splat(0), g);
  } else if constexpr (mask == BatchNormMask::input) {
    return where_le(fmadd(x, scale, shift), splat(smallest_positive(format)), splat(0), g);
  } else {
    return g;
  }
}

#include "halftone/kernels/batch_norm/sums.inl.h"

template <HalfFormat format, bool residual, bool part>
HALFTONE_RUNG void apply_elements(const BatchNormApply& pass, std::int64_t i, std::int64_t count,
                                  Vec scale, Vec shift, bool relu) {
  Vec value = fmadd(read<part>(format, pass.x + i, count), scale, shift);
  if constexpr (residual) value = value + read<part>(format, pass.residual + i, count);
  if (relu) value = larger(splat(0), value);
  write<part>(format, pass.y + i, value, count);
}

template <HalfFormat format, bool residual>
HALFTONE_RUNG_ENTRY void apply_items(const BatchNormPlan& plan, const BatchNormApply& all,
                                     std::int64_t from, std::int64_t to) {
  const BatchNormApply pass = all;
  if (plan.columns) {
    const std::int64_t width = plan.width, rows = plan.block_rows;
    const std::int64_t stop = to * rows * width;
    const std::int64_t end = stop < plan.length ? stop : plan.length;
    for (std::int64_t at = from * rows * width; at < end; at += width) {
      const std::int64_t length = end - at < width ? end - at : width;
      std::int64_t j = 0;
      for (; j + kLanes <= length; j += kLanes) {
        apply_elements<format, residual, false>(pass, at + j, kLanes, load(pass.scale + j),
                                                load(pass.shift + j), pass.relu);
      }
      if (j < length) {
        apply_elements<format, residual, true>(pass, at + j, length - j,
                                               load_part(pass.scale + j, length - j),
                                               load_part(pass.shift + j, length - j), pass.relu);
      }
    }
    return;
  }
  for (std::int64_t item = from; item < to; ++item) {
    const Piece piece = piece_of(plan, item);
    const Vec scale = splat(pass.scale[piece.channel]), shift = splat(pass.shift[piece.channel]);
    std::int64_t i = piece.begin;
    const std::int64_t end = piece.begin + piece.length;
    for (; i + kLanes <= end; i += kLanes) {
      apply_elements<format, residual, false>(pass, i, kLanes, scale, shift, pass.relu);
    }
    if (i < end) {
      apply_elements<format, residual, true>(pass, i, end - i, scale, shift, pass.relu);
    }
  }
}

// What the gradient pass knows of a channel.
struct Slopes {
  Vec scale, shift, factor, slope, offset;
};

template <HalfFormat format, BatchNormMask mask, bool corrected, bool part>
HALFTONE_RUNG void gradient_elements(const BatchNormGradient& pass, std::int64_t i,
                                     std::int64_t count, const Slopes& s) {
  Vec x = splat(0);
  if constexpr (corrected || mask == BatchNormMask::input)
    x = read<part>(format, pass.x + i, count);
  const Vec g = masked_gradient<format, mask, part>(pass, i, x, s.scale, s.shift, count);
  Vec dx;
  if constexpr (corrected) {
    dx = fmadd(g, s.factor, fmadd(x, s.slope, s.offset));
  } else {
    dx = g * s.factor;
  }
  write<part>(format, pass.dx + i, dx, count);
}

template <BatchNormMask mask, bool corrected, bool part>
HALFTONE_RUNG Slopes slopes_of_columns(const BatchNormGradient& pass, std::int64_t j,
                                       std::int64_t count) {
  Slopes s{splat(0), splat(0), read<part>(pass.factor + j, count), splat(0), splat(0)};
  if constexpr (mask == BatchNormMask::input) {
    s.scale = read<part>(pass.scale + j, count);
    s.shift = read<part>(pass.shift + j, count);
  }
  if constexpr (corrected) {
    s.slope = read<part>(pass.slope + j, count);
    s.offset = read<part>(pass.offset + j, count);
  }
  return s;
}

template <HalfFormat format, BatchNormMask mask, bool corrected>
HALFTONE_RUNG_ENTRY void gradient_items(const BatchNormPlan& plan, const BatchNormGradient& all,
                                        std::int64_t from, std::int64_t to) {
  const BatchNormGradient pass = all;
  if (plan.columns) {
    const std::int64_t width = plan.width, rows = plan.block_rows;
    const std::int64_t stop = to * rows * width;
    const std::int64_t end = stop < plan.length ? stop : plan.length;
    for (std::int64_t at = from * rows * width; at < end; at += width) {
      const std::int64_t length = end - at < width ? end - at : width;
      std::int64_t j = 0;
      for (; j + kLanes <= length; j += kLanes) {
        gradient_elements<format, mask, corrected, false>(
            pass, at + j, kLanes, slopes_of_columns<mask, corrected, false>(pass, j, kLanes));
      }
      if (j < length) {
        gradient_elements<format, mask, corrected, true>(
            pass, at + j, length - j,
            slopes_of_columns<mask, corrected, true>(pass, j, length - j));
      }
    }
    return;
  }
  for (std::int64_t item = from; item < to; ++item) {
    const Piece piece = piece_of(plan, item);
    const std::int64_t c = piece.channel;
    Slopes s{splat(pass.scale[c]), splat(pass.shift[c]), splat(pass.factor[c]), splat(0), splat(0)};
    if constexpr (corrected) s.slope = splat(pass.slope[c]), s.offset = splat(pass.offset[c]);
    std::int64_t i = piece.begin;
    const std::int64_t end = piece.begin + piece.length;
    for (; i + kLanes <= end; i += kLanes) {
      gradient_elements<format, mask, corrected, false>(pass, i, kLanes, s);
    }
    if (i < end) gradient_elements<format, mask, corrected, true>(pass, i, end - i, s);
  }
}

// The mean of up to 16 rows of columns, spread over all, or of up to four pieces of a plane of up
// to 64 elements, from images spread over the batch.
HALFTONE_RUNG_ENTRY void sample(const BatchNormPlan& plan, HalfFormat format,
                                const std::uint16_t* x, float* means) {
  const std::int64_t channels = plan.channels;
  if (plan.columns) {
    const std::int64_t rows = plan.count < 16 ? plan.count : 16;
    const float share = 1.0f / static_cast<float>(rows);
    for (std::int64_t j = 0; j < channels; j += kLanes) {
      const std::int64_t count = channels - j < kLanes ? channels - j : kLanes;
      Vec sum = splat(0);
      for (std::int64_t r = 0; r < rows; ++r) {
        const std::int64_t pixel = r * plan.count / rows;
        sum = sum + load_half_part(format, x + pixel * channels + j, count);
      }
      store_part(means + j, sum * splat(share), count);
    }
    return;
  }
  const std::int64_t batch = plan.count / plan.length, images = batch < 4 ? batch : 4;
  const std::int64_t run = plan.length < 64 ? plan.length : 64;
  const float share = 1.0f / static_cast<float>(images * run);
  for (std::int64_t c = 0; c < channels; ++c) {
    Vec sum = splat(0);
    for (std::int64_t k = 0; k < images; ++k) {
      const std::uint16_t* plane = x + (k * batch / images * channels + c) * plan.length;
      for (std::int64_t i = 0; i < run; i += kLanes) {
        sum = sum + load_half_part(format, plane + i, run - i < kLanes ? run - i : kLanes);
      }
    }
    means[c] = reduce_add(sum) * share;
  }
}

template <HalfFormat format, BatchNormMask mask, bool gradients>
HALFTONE_RUNG_ENTRY void sum_items(const BatchNormPlan& plan, const BatchNormSums& pass,
                                   std::int64_t from, std::int64_t to) {
  for (std::int64_t item = from; item < to; ++item) {
    if (plan.columns) {
      sum_block<format, mask, gradients>(plan, pass, item);
    } else {
      sum_piece<format, mask, gradients>(plan, pass, item);
    }
  }
}

template <HalfFormat format>
void sum_items_of(const BatchNormPlan& plan, const BatchNormSums& pass, std::int64_t from,
                  std::int64_t to) {
  if (!pass.dy) return sum_items<format, BatchNormMask::none, false>(plan, pass, from, to);
  switch (pass.mask) {
    case BatchNormMask::none:
      return sum_items<format, BatchNormMask::none, true>(plan, pass, from, to);
    case BatchNormMask::output:
      return sum_items<format, BatchNormMask::output, true>(plan, pass, from, to);
    case BatchNormMask::input:
      return sum_items<format, BatchNormMask::input, true>(plan, pass, from, to);
  }
}

template <HalfFormat format, bool corrected>
void gradient_items_of(const BatchNormPlan& plan, const BatchNormGradient& pass, std::int64_t from,
                       std::int64_t to) {
  switch (pass.mask) {
    case BatchNormMask::none:
      return gradient_items<format, BatchNormMask::none, corrected>(plan, pass, from, to);
    case BatchNormMask::output:
      return gradient_items<format, BatchNormMask::output, corrected>(plan, pass, from, to);
    case BatchNormMask::input:
      return gradient_items<format, BatchNormMask::input, corrected>(plan, pass, from, to);
  }
}

void sums(const BatchNormPlan& plan, const BatchNormSums& pass, std::int64_t from,
          std::int64_t to) {
  pass.format == HalfFormat::fp16 ? sum_items_of<HalfFormat::fp16>(plan, pass, from, to)
                                  : sum_items_of<HalfFormat::bf16>(plan, pass, from, to);
}

void apply(const BatchNormPlan& plan, const BatchNormApply& pass, std::int64_t from,
           std::int64_t to) {
  if (pass.format == HalfFormat::fp16) {
    pass.residual ? apply_items<HalfFormat::fp16, true>(plan, pass, from, to)
                  : apply_items<HalfFormat::fp16, false>(plan, pass, from, to);
  } else {
    pass.residual ? apply_items<HalfFormat::bf16, true>(plan, pass, from, to)
                  : apply_items<HalfFormat::bf16, false>(plan, pass, from, to);
  }
}

void gradient(const BatchNormPlan& plan, const BatchNormGradient& pass, std::int64_t from,
              std::int64_t to) {
  if (pass.format == HalfFormat::fp16) {
    pass.slope ? gradient_items_of<HalfFormat::fp16, true>(plan, pass, from, to)
               : gradient_items_of<HalfFormat::fp16, false>(plan, pass, from, to);
  } else {
    pass.slope ? gradient_items_of<HalfFormat::bf16, true>(plan, pass, from, to)
               : gradient_items_of<HalfFormat::bf16, false>(plan, pass, from, to);
  }
}

constexpr BatchNormPasses kPasses{sample, sums, apply, gradient};
