// Lines of a depthwise convolution, once for all rungs: behind vector/vec_*.inl.h. No guard: the
// text is compiled once per rung.
//
// A block is a few neighbouring pixels of a line, of one vector of channels: each pixel that is
// read is converted once for all of the block's pixels that see it.

// Pixels of a block: with up to 7 taps and a pixel that is read they fit the 32 (16) registers.
constexpr int kDepthwisePixels = kLanes == 16 ? 8 : 4;

// Columns that a block of known taps and step sees.
template <int taps, int step>
constexpr int kDepthwiseSeen = (kDepthwisePixels - 1) * step + taps;

// Which pixels and channels of a block are there.
//   inner   all, and so is every column
//   border  some columns, or fewer pixels
//   part    as border, and fewer channels than a vector
enum class DepthwiseEdge { inner, border, part };

// Padding is read from here.
alignas(64) const std::uint16_t kZeroPixel[kLanes] = {};

template <DepthwiseEdge edge>
HALFTONE_RUNG Vec load_pixel(HalfFormat format, const std::uint16_t* p, std::int64_t count) {
  return edge == DepthwiseEdge::part ? load_half_part(format, p, count) : load_half(format, p);
}
template <DepthwiseEdge edge>
HALFTONE_RUNG Vec load_floats(const float* p, std::int64_t count) {
  return edge == DepthwiseEdge::part ? load_part(p, count) : load(p);
}
template <DepthwiseEdge edge>
HALFTONE_RUNG void store_floats(float* p, Vec value, std::int64_t count) {
  edge == DepthwiseEdge::part ? store_part(p, value, count) : store(p, value);
}

// Walks along the columns of a line; zeros outside.
template <DepthwiseEdge edge>
struct DepthwiseWalk {
  const std::uint16_t* line;
  std::int64_t column, width, offset, pitch;

  HALFTONE_RUNG Vec read(HalfFormat format, std::int64_t channels) const {
    const bool there = edge == DepthwiseEdge::inner ||
                       static_cast<std::uint64_t>(column) < static_cast<std::uint64_t>(width);
    return load_pixel<edge>(format, there ? line + offset : kZeroPixel, channels);
  }
  HALFTONE_RUNG void step(std::int64_t columns, std::int64_t elements) {
    column += columns;
    offset += elements;
    // Or the compiler keeps every column's offset in a register of its own, which there are not.
    asm("" : "+r"(offset));
  }
};

// Fetches the block's share, `pixels` of them.
HALFTONE_RUNG void fetch(DepthwiseAhead& ahead, std::int64_t pixels, std::int64_t channels,
                         std::int64_t pitch) {
  constexpr std::int64_t kLine = 64 / sizeof(std::uint16_t);
  for (std::int64_t i = 0; i < pixels && ahead.pixels > 0; ++i, --ahead.pixels) {
    for (std::int64_t c = 0; c < channels; c += kLine) __builtin_prefetch(ahead.first + c, 0, 2);
    ahead.first += pitch;
  }
}

// What each of a line's blocks is to fetch.
HALFTONE_RUNG std::int64_t share_of(const DepthwiseAhead& ahead, std::int64_t count) {
  const std::int64_t blocks = (count + kDepthwisePixels - 1) / kDepthwisePixels;
  return (ahead.pixels + blocks - 1) / blocks;
}

// Adds a line's taps to the block that begins at column `column` of it; taps and step are known.
template <HalfFormat format, int taps, int step, DepthwiseEdge edge>
HALFTONE_RUNG void add_taps(const DepthwiseLine& line, const std::uint16_t* source,
                            const float* weight, std::int64_t column, std::int64_t channels,
                            Vec (&sum)[kDepthwisePixels]) {
  Vec factor[taps];
#pragma GCC unroll 8
  for (int t = 0; t < taps; ++t) {
    factor[t] = load_floats<edge>(weight + t * line.weight_tap, channels);
  }
  DepthwiseWalk<edge> walk{source, column, line.columns.width, column * line.pitch, line.pitch};
#pragma GCC unroll 32
  for (int c = 0; c < kDepthwiseSeen<taps, step>; ++c, walk.step(1, walk.pitch)) {
    const Vec value = walk.read(format, channels);
#pragma GCC unroll 8
    for (int t = 0; t < taps; ++t) {
      if (c >= t && (c - t) % step == 0 && (c - t) / step < kDepthwisePixels) {
        sum[(c - t) / step] = fmadd(value, factor[t], sum[(c - t) / step]);
      }
    }
  }
}

// The same where they are not.
template <HalfFormat format, DepthwiseEdge edge>
HALFTONE_RUNG void add_any_taps(const DepthwiseLine& line, const std::uint16_t* source,
                                const float* weight, std::int64_t column, std::int64_t channels,
                                Vec (&sum)[kDepthwisePixels]) {
  const std::int64_t stride = line.columns.step * line.pitch;
  for (std::int64_t t = 0; t < line.columns.taps; ++t) {
    const Vec factor = load_floats<edge>(weight + t * line.weight_tap, channels);
    const std::int64_t at = column + t * line.columns.spread;
    DepthwiseWalk<edge> walk{source, at, line.columns.width, at * line.pitch, line.pitch};
#pragma GCC unroll 8
    for (int p = 0; p < kDepthwisePixels; ++p, walk.step(line.columns.step, stride)) {
      sum[p] = fmadd(walk.read(format, channels), factor, sum[p]);
    }
  }
}

// taps == 0: any. From channel c on.
template <HalfFormat format, int taps, int step, DepthwiseEdge edge>
HALFTONE_RUNG void line_vector(const DepthwiseLine& line, std::int64_t first, std::int64_t c) {
  const std::int64_t channels = line.channels - c;
  const std::int64_t column = first * line.columns.step + line.columns.first;
  Vec sum[kDepthwisePixels];
  const Vec start = line.bias ? load_floats<edge>(line.bias + c, channels) : splat(0);
#pragma GCC unroll 8
  for (int p = 0; p < kDepthwisePixels; ++p) sum[p] = start;
  for (std::int64_t plane = 0; plane < line.planes; ++plane) {
    const std::uint16_t* source = line.source + plane * line.source_plane + c;
    const float* weight = line.weight + plane * line.weight_plane + c;
    for (std::int64_t row = 0; row < line.rows; ++row) {
      if constexpr (taps > 0) {
        add_taps<format, taps, step, edge>(line, source, weight, column, channels, sum);
      } else {
        add_any_taps<format, edge>(line, source, weight, column, channels, sum);
      }
      source += line.source_row;
      weight += line.weight_row;
    }
  }
#pragma GCC unroll 8
  for (int p = 0; p < kDepthwisePixels; ++p) {
    if (edge != DepthwiseEdge::inner && first + p >= line.count) break;
    std::uint16_t* out = line.out + (first + p) * line.out_pitch + c;
    if (edge == DepthwiseEdge::part) {
      store_half_part(format, out, sum[p], channels);
    } else {
      store_half(format, out, sum[p]);
    }
  }
}

HALFTONE_RUNG bool is_inner(const DepthwiseColumns& columns, std::int64_t first,
                            std::int64_t count) {
  const std::int64_t left = first * columns.step + columns.first;
  const std::int64_t right =
      left + (kDepthwisePixels - 1) * columns.step + (columns.taps - 1) * columns.spread;
  return first + kDepthwisePixels <= count && left >= 0 && right < columns.width;
}

template <HalfFormat format, int taps, int step>
HALFTONE_RUNG_ENTRY void line_by(const DepthwiseLine& given) {
  const DepthwiseLine line = given;
  DepthwiseAhead ahead = line.ahead;
  const std::int64_t share = share_of(ahead, line.count);
  for (std::int64_t first = 0; first < line.count; first += kDepthwisePixels) {
    fetch(ahead, share, line.channels, line.pitch);
    const bool inner = is_inner(line.columns, first, line.count);
    std::int64_t c = 0;
    if (inner) {
      for (; c + kLanes <= line.channels; c += kLanes) {
        line_vector<format, taps, step, DepthwiseEdge::inner>(line, first, c);
      }
    } else {
      for (; c + kLanes <= line.channels; c += kLanes) {
        line_vector<format, taps, step, DepthwiseEdge::border>(line, first, c);
      }
    }
    if (c < line.channels) {
      line_vector<format, taps, step, DepthwiseEdge::part>(line, first, c);
    }
  }
}

// Adds a line's products to sums[tap]. Pixel by pixel: those that are not there meet no column.
template <HalfFormat format, int taps, int step, DepthwiseEdge edge>
HALFTONE_RUNG void add_products(const DepthwiseGradientLine& line, const std::uint16_t* x,
                                std::int64_t column, std::int64_t channels, std::int64_t pixels,
                                const Vec (&dy)[kDepthwisePixels], float* sums) {
  Vec sum[taps], seen[kDepthwiseSeen<taps, step>];
#pragma GCC unroll 8
  for (int t = 0; t < taps; ++t) sum[t] = load_floats<edge>(sums + t * line.channels, channels);
  DepthwiseWalk<edge> walk{x, column, line.columns.width, column * line.pitch, line.pitch};
#pragma GCC unroll 32
  for (int c = 0; c < kDepthwiseSeen<taps, step>; ++c, walk.step(1, walk.pitch)) {
    seen[c] = walk.read(format, channels);
  }
#pragma GCC unroll 8
  for (int p = 0; p < kDepthwisePixels; ++p) {
    if (edge != DepthwiseEdge::inner && p >= pixels) break;
#pragma GCC unroll 8
    for (int t = 0; t < taps; ++t) sum[t] = fmadd(seen[p * step + t], dy[p], sum[t]);
  }
#pragma GCC unroll 8
  for (int t = 0; t < taps; ++t) store_floats<edge>(sums + t * line.channels, sum[t], channels);
}

template <HalfFormat format, DepthwiseEdge edge>
HALFTONE_RUNG void add_any_products(const DepthwiseGradientLine& line, const std::uint16_t* x,
                                    std::int64_t column, std::int64_t channels, std::int64_t pixels,
                                    const Vec (&dy)[kDepthwisePixels], float* sums) {
  const std::int64_t stride = line.columns.step * line.pitch;
  for (std::int64_t t = 0; t < line.columns.taps; ++t) {
    Vec sum = load_floats<edge>(sums + t * line.channels, channels);
    const std::int64_t at = column + t * line.columns.spread;
    DepthwiseWalk<edge> walk{x, at, line.columns.width, at * line.pitch, line.pitch};
#pragma GCC unroll 8
    for (int p = 0; p < kDepthwisePixels; ++p, walk.step(line.columns.step, stride)) {
      if (edge != DepthwiseEdge::inner && p >= pixels) break;
      sum = fmadd(walk.read(format, channels), dy[p], sum);
    }
    store_floats<edge>(sums + t * line.channels, sum, channels);
  }
}

template <HalfFormat format, int taps, int step, DepthwiseEdge edge>
HALFTONE_RUNG void gradient_vector(const DepthwiseGradientLine& line, std::int64_t first,
                                   std::int64_t c) {
  const std::int64_t channels = line.channels - c, pixels = line.count - first;
  const std::int64_t column = first * line.columns.step + line.columns.first;
  Vec dy[kDepthwisePixels];
  DepthwiseWalk<edge> walk{line.dy + c, first, line.count, first * line.pitch, line.pitch};
#pragma GCC unroll 8
  for (int p = 0; p < kDepthwisePixels; ++p, walk.step(1, walk.pitch)) {
    dy[p] = walk.read(format, channels);
  }
  const std::uint16_t* x = line.x + c;
  float* sums = line.sums + c;
  for (std::int64_t row = 0; row < line.rows; ++row) {
    if constexpr (taps > 0) {
      add_products<format, taps, step, edge>(line, x, column, channels, pixels, dy, sums);
    } else {
      add_any_products<format, edge>(line, x, column, channels, pixels, dy, sums);
    }
    x += line.x_row;
    sums += line.columns.taps * line.channels;
  }
}

template <HalfFormat format, int taps, int step>
HALFTONE_RUNG_ENTRY void gradient_by(const DepthwiseGradientLine& given) {
  const DepthwiseGradientLine line = given;
  DepthwiseAhead ahead = line.ahead, ahead_dy = line.ahead_dy;
  const std::int64_t share = share_of(ahead, line.count);
  for (std::int64_t first = 0; first < line.count; first += kDepthwisePixels) {
    fetch(ahead, share, line.channels, line.pitch);
    fetch(ahead_dy, kDepthwisePixels, line.channels, line.pitch);
    const bool inner = is_inner(line.columns, first, line.count);
    std::int64_t c = 0;
    if (inner) {
      for (; c + kLanes <= line.channels; c += kLanes) {
        gradient_vector<format, taps, step, DepthwiseEdge::inner>(line, first, c);
      }
    } else {
      for (; c + kLanes <= line.channels; c += kLanes) {
        gradient_vector<format, taps, step, DepthwiseEdge::border>(line, first, c);
      }
    }
    if (c < line.channels) {
      gradient_vector<format, taps, step, DepthwiseEdge::part>(line, first, c);
    }
  }
}

// visit(taps, step) as constants: the windows of networks (3, 5, 7 of stride 1, 3 and 5 of stride
// 2) and what a phase of a strided one's backward pass sees of them; 0 for all others.
template <int number>
struct DepthwiseConstant {
  static constexpr int value = number;
};
template <class Visit>
void with_taps(const DepthwiseColumns& columns, Visit visit) {
  using One = DepthwiseConstant<1>;
  using Two = DepthwiseConstant<2>;
  const std::int64_t taps = columns.spread == 1 || columns.taps == 1 ? columns.taps : 0;
  if (columns.step == 1) {
    if (taps == 1) return visit(One{}, One{});
    if (taps == 2) return visit(Two{}, One{});
    if (taps == 3) return visit(DepthwiseConstant<3>{}, One{});
    if (taps == 5) return visit(DepthwiseConstant<5>{}, One{});
    if (taps == 7) return visit(DepthwiseConstant<7>{}, One{});
  } else if (columns.step == 2) {
    if (taps == 3) return visit(DepthwiseConstant<3>{}, Two{});
    if (taps == 5) return visit(DepthwiseConstant<5>{}, Two{});
  }
  visit(DepthwiseConstant<0>{}, One{});
}

inline void depthwise_line(const DepthwiseLine& line) {
  with_taps(line.columns, [&](auto taps, auto step) {
    line.format == HalfFormat::fp16 ? line_by<HalfFormat::fp16, taps.value, step.value>(line)
                                    : line_by<HalfFormat::bf16, taps.value, step.value>(line);
  });
}

inline void depthwise_gradient(const DepthwiseGradientLine& line) {
  with_taps(line.columns, [&](auto taps, auto step) {
    line.format == HalfFormat::fp16 ? gradient_by<HalfFormat::fp16, taps.value, step.value>(line)
                                    : gradient_by<HalfFormat::bf16, taps.value, step.value>(line);
  });
}

template <HalfFormat format>
HALFTONE_RUNG_ENTRY void widen_list(const std::uint16_t* from, std::int64_t count, float* to) {
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(to + i, load_half(format, from + i));
  if (i < count) store_part(to + i, load_half_part(format, from + i, count - i), count - i);
}

template <HalfFormat format>
HALFTONE_RUNG_ENTRY void narrow_list(const float* from, std::int64_t count, std::uint16_t* to) {
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store_half(format, to + i, load(from + i));
  if (i < count) store_half_part(format, to + i, load_part(from + i, count - i), count - i);
}

inline void depthwise_widen(HalfFormat format, const std::uint16_t* from, std::int64_t count,
                            float* to) {
  format == HalfFormat::fp16 ? widen_list<HalfFormat::fp16>(from, count, to)
                             : widen_list<HalfFormat::bf16>(from, count, to);
}

inline void depthwise_narrow(HalfFormat format, const float* from, std::int64_t count,
                             std::uint16_t* to) {
  format == HalfFormat::fp16 ? narrow_list<HalfFormat::fp16>(from, count, to)
                             : narrow_list<HalfFormat::bf16>(from, count, to);
}

constexpr DepthwisePasses kDepthwisePasses{depthwise_line, depthwise_gradient, depthwise_widen,
                                           depthwise_narrow};

#undef HALFTONE_RUNG
#undef HALFTONE_RUNG_ENTRY
