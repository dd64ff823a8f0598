// Layer normalisation of a range of rows, once for all rungs: behind the text of one of
// vector/vec_*.inl.h.

template <bool part>
HALFTONE_RUNG Vec read(HalfFormat format, const std::uint16_t* p, std::int64_t count) {
  return part ? load_half_part(format, p, count) : load_half(format, p);
}

// A parameter's columns; without, `otherwise`.
template <Element format, bool part>
HALFTONE_RUNG Vec read_parameter(const void* values, std::int64_t j, std::int64_t count,
                                 float otherwise) {
  if (!values) return splat(otherwise);
  if constexpr (format == Element::fp32) {
    const float* p = static_cast<const float*>(values) + j;
    return part ? load_part(p, count) : load(p);
  } else {
    return read<part>(half_format(format), static_cast<const std::uint16_t*>(values) + j, count);
  }
}

// What lies behind the end counts nothing.
HALFTONE_RUNG Vec first_only(Vec value, std::int64_t count) {
  float lanes[kLanes];
  store(lanes, value);
  return load_part(lanes, count);
}

struct RowSums {
  float sum, square;  // of x - center
};

// Four vectors at once: an addition takes four cycles. Short runs: an fp32 sum loses with its
// length.
template <HalfFormat format>
HALFTONE_RUNG RowSums row_sums(const std::uint16_t* x, std::int64_t length, float center_value) {
  constexpr int kTogether = 4, kSteps = 64;
  const Vec center = splat(center_value);
  Vec sums[kTogether], squares[kTogether];
#pragma GCC unroll 4
  for (int k = 0; k < kTogether; ++k) sums[k] = squares[k] = splat(0);
  std::int64_t j = 0;
  while (j + kTogether * kLanes <= length) {
    Vec run[kTogether], square_run[kTogether];
#pragma GCC unroll 4
    for (int k = 0; k < kTogether; ++k) run[k] = square_run[k] = splat(0);
    for (int step = 0; step < kSteps && j + kTogether * kLanes <= length;
         ++step, j += kTogether * kLanes) {
#pragma GCC unroll 4
      for (int k = 0; k < kTogether; ++k) {
        const Vec d = load_half(format, x + j + k * kLanes) - center;
        run[k] = run[k] + d;
        square_run[k] = fmadd(d, d, square_run[k]);
      }
    }
#pragma GCC unroll 4
    for (int k = 0; k < kTogether; ++k) {
      sums[k] = sums[k] + run[k];
      squares[k] = squares[k] + square_run[k];
    }
  }
  for (; j + kLanes <= length; j += kLanes) {
    const Vec d = load_half(format, x + j) - center;
    sums[0] = sums[0] + d;
    squares[0] = fmadd(d, d, squares[0]);
  }
  if (j < length) {
    const Vec d = first_only(load_half_part(format, x + j, length - j) - center, length - j);
    sums[1] = sums[1] + d;
    squares[1] = fmadd(d, d, squares[1]);
  }
  return {reduce_add((sums[0] + sums[1]) + (sums[2] + sums[3])),
          reduce_add((squares[0] + squares[1]) + (squares[2] + squares[3]))};
}

struct RowStatistics {
  float mean, invstd;
};

template <HalfFormat format>
HALFTONE_RUNG RowStatistics row_statistics(const std::uint16_t* x, std::int64_t length,
                                           double eps) {
  constexpr double kFar = 16;  // (mean - center)^2 / var
  const std::int64_t few = length < kLanes ? length : kLanes;
  float center = reduce_add(load_half_part(format, x, few)) / static_cast<float>(few);
  if (!(center - center == 0)) center = 0;  // NaN, infinity
  const double share = 1 / static_cast<double>(length);
  for (int attempt = 0;; ++attempt) {
    const RowSums s = row_sums<format>(x, length, center);
    const double distance = s.sum * share;
    const double spread = s.square * share - distance * distance;
    const double var = spread < 0 ? 0 : spread;
    const auto mean = static_cast<float>(center + distance);
    if (attempt == 0 && distance * distance > kFar * var && mean != center && mean - mean == 0) {
      center = mean;
      continue;
    }
    return {mean, 1 / std::sqrt(static_cast<float>(var + eps))};
  }
}

template <HalfFormat format, Element parameters>
HALFTONE_RUNG_ENTRY void forward_rows(const LayerNormForwardArgs& all, std::int64_t from,
                                      std::int64_t to) {
  const LayerNormForwardArgs args = all;  // a copy: stores can't change it
  const std::int64_t length = args.length;
  for (std::int64_t row = from; row < to; ++row) {
    const std::uint16_t* x = args.x + row * length;
    std::uint16_t* y = args.y + row * length;
    const RowStatistics s = row_statistics<format>(x, length, args.eps);
    if (args.mean) set_element(args.statistics, args.mean, row, s.mean);
    if (args.invstd) set_element(args.statistics, args.invstd, row, s.invstd);
    const Vec slope = splat(s.invstd), shift = splat(-s.mean * s.invstd);
    std::int64_t j = 0;
    for (; j + kLanes <= length; j += kLanes) {
      const Vec xhat = fmadd(load_half(format, x + j), slope, shift);
      store_half(format, y + j,
                 fmadd(xhat, read_parameter<parameters, false>(args.weight, j, kLanes, 1),
                       read_parameter<parameters, false>(args.bias, j, kLanes, 0)));
    }
    if (j == length) continue;
    const std::int64_t left = length - j;
    const Vec xhat = fmadd(load_half_part(format, x + j, left), slope, shift);
    store_half_part(format, y + j,
                    fmadd(xhat, read_parameter<parameters, true>(args.weight, j, left, 1),
                          read_parameter<parameters, true>(args.bias, j, left, 0)),
                    left);
  }
}

struct RowState {
  Vec slope, shift;  // xhat = x * slope + shift
  Vec sum, product;  // of g, g * xhat
};

template <HalfFormat format, Element parameters, bool columns, bool part>
HALFTONE_RUNG void sum_columns(const LayerNormBackwardArgs& args, std::int64_t at, std::int64_t j,
                               std::int64_t count, RowState& state, float* partial) {
  const Vec dy = read<part>(format, args.dy + at + j, count);
  const Vec xhat = fmadd(read<part>(format, args.x + at + j, count), state.slope, state.shift);
  const Vec g = dy * read_parameter<parameters, part>(args.weight, j, count, 1);
  state.sum = state.sum + g;
  state.product = fmadd(g, xhat, state.product);
  if constexpr (columns) {
    float *first = partial + j, *second = first + args.length;
    if constexpr (part) {
      store_part(first, load_part(first, count) + dy, count);
      store_part(second, fmadd(dy, xhat, load_part(second, count)), count);
    } else {
      store(first, load(first) + dy);
      store(second, fmadd(dy, xhat, load(second)));
    }
  }
}

template <HalfFormat format, Element parameters, bool part>
HALFTONE_RUNG void write_gradient(const LayerNormBackwardArgs& args, std::int64_t i, std::int64_t j,
                                  std::int64_t count, Vec factor, Vec slope, Vec offset) {
  const Vec g = read<part>(format, args.dy + i, count) *
                read_parameter<parameters, part>(args.weight, j, count, 1);
  const Vec dx = fmadd(g, factor, fmadd(read<part>(format, args.x + i, count), slope, offset));
  part ? store_half_part(format, args.dx + i, dx, count) : store_half(format, args.dx + i, dx);
}

// One row: its sums, then its gradient while it is in L1. Two vectors' sums at once; short runs.
template <HalfFormat format, Element parameters, bool columns>
HALFTONE_RUNG void backward_row(const LayerNormBackwardArgs& args, std::int64_t row,
                                float* partial) {
  constexpr int kTogether = 2, kSteps = 64;
  const std::int64_t length = args.length, at = row * length;
  const float mean = element_value(args.statistics, args.mean, row);
  const float invstd = element_value(args.statistics, args.invstd, row);
  const Vec factor = splat(invstd);
  RowState states[kTogether];
#pragma GCC unroll 4
  for (auto& each : states) each = {factor, splat(-mean * invstd), splat(0), splat(0)};
  Vec sum = splat(0), product = splat(0);
  std::int64_t j = 0;
  while (j + kTogether * kLanes <= length) {
    for (int step = 0; step < kSteps && j + kTogether * kLanes <= length;
         ++step, j += kTogether * kLanes) {
#pragma GCC unroll 4
      for (int k = 0; k < kTogether; ++k) {
        sum_columns<format, parameters, columns, false>(args, at, j + k * kLanes, kLanes, states[k],
                                                        partial);
      }
    }
#pragma GCC unroll 4
    for (auto& each : states) {
      sum = sum + each.sum, product = product + each.product;
      each.sum = each.product = splat(0);
    }
  }
  for (; j + kLanes <= length; j += kLanes) {
    sum_columns<format, parameters, columns, false>(args, at, j, kLanes, states[0], partial);
  }
  if (j < length) {
    sum_columns<format, parameters, columns, true>(args, at, j, length - j, states[0], partial);
  }
  if (!args.dx) return;
  const double share = 1 / static_cast<double>(length);
  const double mean_g = reduce_add(sum + states[0].sum) * share;
  const double mean_product = reduce_add(product + states[0].product) * share;
  const double steep = -mean_product * invstd * invstd;
  const Vec slope = splat(static_cast<float>(steep));
  const Vec offset = splat(static_cast<float>(-mean_g * invstd - steep * mean));
  for (j = 0; j + kLanes <= length; j += kLanes) {
    write_gradient<format, parameters, false>(args, at + j, j, kLanes, factor, slope, offset);
  }
  if (j < length) {
    write_gradient<format, parameters, true>(args, at + j, j, length - j, factor, slope, offset);
  }
}

template <HalfFormat format, Element parameters, bool columns>
HALFTONE_RUNG_ENTRY void backward_rows(const LayerNormBackwardArgs& all, std::int64_t from,
                                       std::int64_t to, float* partial) {
  const LayerNormBackwardArgs args = all;
  if constexpr (columns) {
    for (std::int64_t j = 0; j < 2 * args.length; ++j) partial[j] = 0;
  }
  for (std::int64_t row = from; row < to; ++row) {
    backward_row<format, parameters, columns>(args, row, partial);
  }
}

template <HalfFormat format>
void forward_of(const LayerNormForwardArgs& args, std::int64_t from, std::int64_t to) {
  args.parameters == Element::fp32 ? forward_rows<format, Element::fp32>(args, from, to)
                                   : forward_rows<format, element_of(format)>(args, from, to);
}

template <HalfFormat format, Element parameters>
void backward_of(const LayerNormBackwardArgs& args, std::int64_t from, std::int64_t to,
                 float* partial) {
  partial ? backward_rows<format, parameters, true>(args, from, to, partial)
          : backward_rows<format, parameters, false>(args, from, to, partial);
}

void forward(const LayerNormForwardArgs& args, std::int64_t from, std::int64_t to) {
  args.format == HalfFormat::fp16 ? forward_of<HalfFormat::fp16>(args, from, to)
                                  : forward_of<HalfFormat::bf16>(args, from, to);
}

void backward(const LayerNormBackwardArgs& args, std::int64_t from, std::int64_t to,
              float* partial) {
  const bool wide = args.parameters == Element::fp32;
  if (args.format == HalfFormat::fp16) {
    wide ? backward_of<HalfFormat::fp16, Element::fp32>(args, from, to, partial)
         : backward_of<HalfFormat::fp16, Element::fp16>(args, from, to, partial);
  } else {
    wide ? backward_of<HalfFormat::bf16, Element::fp32>(args, from, to, partial)
         : backward_of<HalfFormat::bf16, Element::bf16>(args, from, to, partial);
  }
}

constexpr LayerNormPasses kPasses{forward, backward};
