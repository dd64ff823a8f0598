// Average pooling, once for all rungs: behind vector/vec_*.inl.h and vector/strided_*.inl.h. No
// guard: the text is compiled once per rung.

// Vectors of channels that are worked on together: a tap's address is computed once for them.
constexpr int kAverageVectors = 8;

// Elements that one task should handle at least: some 20 us.
constexpr std::int64_t kAverageGrain = 65536;

// A row of a plane in fp32 with a margin of zeros for a kernel and for whole vectors.
constexpr std::int64_t kAverageRow = kAverageWidth + 2 * kAverageKernel + 64;

HALFTONE_RUNG float average_weight(const AverageShape& s, std::int64_t oh, std::int64_t ow) {
  const std::int64_t divisor = s.divisor ? s.divisor : s.h.count(oh) * s.w.count(ow);
  return 1.0f / static_cast<float>(divisor);
}

template <HalfFormat format, int vectors, bool whole>
HALFTONE_RUNG void average_channels(const std::uint16_t* input, std::int64_t row_pitch,
                                    std::int64_t pitch, AverageRange rows, AverageRange columns,
                                    std::int64_t count, float weight, std::uint16_t* output) {
  Vec sum[vectors];
  for (int v = 0; v < vectors; ++v) sum[v] = splat(0);
  for (std::int64_t i = rows.begin; i < rows.end; ++i) {
    const std::uint16_t* p = input + i * row_pitch + columns.begin * pitch;
    for (std::int64_t j = columns.begin; j < columns.end; ++j, p += pitch) {
      for (int v = 0; v < vectors; ++v) {
        sum[v] =
            sum[v] + (whole ? load_half(format, p + v * kLanes) : load_half_part(format, p, count));
      }
    }
  }
  for (int v = 0; v < vectors; ++v) {
    if (whole) {
      store_half(format, output + v * kLanes, sum[v] * splat(weight));
    } else {
      store_half_part(format, output, sum[v] * splat(weight), count);
    }
  }
}

template <HalfFormat format>
HALFTONE_RUNG_ENTRY void average_row_last(const AveragePoolArgs& args, std::int64_t image,
                                          std::int64_t oh) {
  const AverageShape s = args.shape;
  const std::uint16_t* input = args.input + image * s.h.in * s.w.in * s.channels;
  const AverageRange rows = s.h.window(oh);
  const std::int64_t pitch = s.w.in * s.channels;
  for (std::int64_t ow = 0; ow < s.w.out; ++ow) {
    std::uint16_t* output = args.output + ((image * s.h.out + oh) * s.w.out + ow) * s.channels;
    const AverageRange columns = s.w.window(ow);
    const float weight = average_weight(s, oh, ow);
    std::int64_t c = 0;
    for (; c + kAverageVectors * kLanes <= s.channels; c += kAverageVectors * kLanes) {
      average_channels<format, kAverageVectors, true>(input + c, pitch, s.channels, rows, columns,
                                                      0, weight, output + c);
    }
    for (; c + kLanes <= s.channels; c += kLanes) {
      average_channels<format, 1, true>(input + c, pitch, s.channels, rows, columns, 0, weight,
                                        output + c);
    }
    if (c < s.channels) {
      average_channels<format, 1, false>(input + c, pitch, s.channels, rows, columns,
                                         s.channels - c, weight, output + c);
    }
  }
}

template <HalfFormat format>
HALFTONE_RUNG float contiguous_sum(const std::uint16_t* p, std::int64_t count) {
  Vec even = splat(0), odd = splat(0);
  std::int64_t i = 0;
  for (; i + 2 * kLanes <= count; i += 2 * kLanes) {
    even = even + load_half(format, p + i);
    odd = odd + load_half(format, p + i + kLanes);
  }
  for (; i + kLanes <= count; i += kLanes) even = even + load_half(format, p + i);
  if (i < count) odd = odd + load_half_part(format, p + i, count - i);
  return reduce_add(even + odd);
}

// The sums of a window's rows, column by column.
template <HalfFormat format>
HALFTONE_RUNG void add_rows(const std::uint16_t* plane, AverageRange rows, std::int64_t width,
                            float* sums) {
  std::int64_t i = 0;
  for (; i + kLanes <= width; i += kLanes) {
    Vec sum = splat(0);
    for (std::int64_t y = rows.begin; y < rows.end; ++y) {
      sum = sum + load_half(format, plane + y * width + i);
    }
    store(sums + i, sum);
  }
  if (i < width) {
    Vec sum = splat(0);
    for (std::int64_t y = rows.begin; y < rows.end; ++y) {
      sum = sum + load_half_part(format, plane + y * width + i, width - i);
    }
    store(sums + i, sum);  // zeros behind the row
  }
}

template <int stride>
HALFTONE_RUNG Vec load_strided(const float* p) {
  if constexpr (stride == 1) return load(p);
  return load_even(p);
}

// Sums of `kernel` columns of a row with margins, for all outputs; whole vectors are written.
template <int stride>
HALFTONE_RUNG void slide(const float* row, std::int64_t kernel, std::int64_t out, float weight,
                         float* means) {
  for (std::int64_t k = 0; k < out; k += kLanes) {
    Vec sum = load_strided<stride>(row + k * stride);
    for (std::int64_t j = 1; j < kernel; ++j) {
      sum = sum + load_strided<stride>(row + k * stride + j);
    }
    store(means + k, sum * splat(weight));
  }
}

// Windows at the border count less than a whole kernel.
HALFTONE_RUNG void weigh_border(const AverageAxis& w, float* means) {
  const auto scale = [&](std::int64_t o) {
    const std::int64_t count = w.count(o);
    if (count == w.kernel) return false;
    means[o] *= static_cast<float>(w.kernel) / static_cast<float>(count);
    return true;
  };
  std::int64_t first = 0, last = w.out;
  while (first < last && scale(first)) ++first;
  while (last > first && scale(last - 1)) --last;
}

template <HalfFormat format>
HALFTONE_RUNG void store_row(const float* row, std::int64_t count, std::uint16_t* to) {
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store_half(format, to + i, load(row + i));
  if (i < count) store_half_part(format, to + i, load(row + i), count - i);
}

HALFTONE_RUNG void fill_zeros(float* from, const float* to) {
  for (; from < to; ++from) *from = 0;
}

template <HalfFormat format>
HALFTONE_RUNG_ENTRY void average_row_first(const AveragePoolArgs& args, std::int64_t plane,
                                           std::int64_t oh) {
  const AverageShape s = args.shape;
  const std::uint16_t* input = args.input + plane * s.h.in * s.w.in;
  std::uint16_t* output = args.output + (plane * s.h.out + oh) * s.w.out;
  float row[kAverageRow], means[kAverageRow];
  const bool slides = !s.w.adaptive && s.w.stride <= 2;
  const std::int64_t margin = slides ? s.w.pad : 0;
  fill_zeros(row, row + margin);
  add_rows<format>(input, s.h.window(oh), s.w.in, row + margin);
  if (slides) {
    const std::int64_t whole = (s.w.out + kLanes - 1) / kLanes * kLanes;
    fill_zeros(row + margin + s.w.in, row + (whole + kLanes) * s.w.stride + s.w.kernel);
    const std::int64_t divisor = s.divisor ? s.divisor : s.h.count(oh) * s.w.kernel;
    const float weight = 1.0f / static_cast<float>(divisor);
    s.w.stride == 1 ? slide<1>(row, s.w.kernel, s.w.out, weight, means)
                    : slide<2>(row, s.w.kernel, s.w.out, weight, means);
    if (!s.divisor) weigh_border(s.w, means);
  } else {
    for (std::int64_t ow = 0; ow < s.w.out; ++ow) {
      const AverageRange columns = s.w.window(ow);
      float sum = 0;
      for (std::int64_t x = columns.begin; x < columns.end; ++x) sum += row[x];
      means[ow] = sum * average_weight(s, oh, ow);
    }
  }
  store_row<format>(means, s.w.out, output);
}

template <HalfFormat format>
HALFTONE_RUNG_ENTRY void average_plane(const AveragePoolArgs& args, std::int64_t plane,
                                       std::int64_t) {
  const std::int64_t size = args.shape.h.in * args.shape.w.in;
  const std::uint16_t* input = args.input + plane * size;
  double sum = 0;
  for (std::int64_t i = 0; i < size; i += kAverageWidth) {
    sum += contiguous_sum<format>(input + i, size - i < kAverageWidth ? size - i : kAverageWidth);
  }
  args.output[plane] =
      float_to_half(format, static_cast<float>(sum) * average_weight(args.shape, 0, 0));
}

template <HalfFormat format, int vectors, bool whole>
HALFTONE_RUNG void share_channels(const AverageShape& s, const std::uint16_t* gradient,
                                  AverageRange rows, AverageRange columns, std::int64_t count,
                                  std::uint16_t* result) {
  Vec sum[vectors];
  for (int v = 0; v < vectors; ++v) sum[v] = splat(0);
  for (std::int64_t oh = rows.begin; oh < rows.end; ++oh) {
    for (std::int64_t ow = columns.begin; ow < columns.end; ++ow) {
      const Vec weight = splat(average_weight(s, oh, ow));
      const std::uint16_t* p = gradient + (oh * s.w.out + ow) * s.channels;
      for (int v = 0; v < vectors; ++v) {
        sum[v] = fmadd(whole ? load_half(format, p + v * kLanes) : load_half_part(format, p, count),
                       weight, sum[v]);
      }
    }
  }
  for (int v = 0; v < vectors; ++v) {
    if (whole) {
      store_half(format, result + v * kLanes, sum[v]);
    } else {
      store_half_part(format, result, sum[v], count);
    }
  }
}

template <HalfFormat format>
HALFTONE_RUNG_ENTRY void share_row_last(const AveragePoolBackwardArgs& args, std::int64_t image,
                                        std::int64_t ih) {
  const AverageShape s = args.shape;
  const std::uint16_t* gradient = args.grad_output + image * s.h.out * s.w.out * s.channels;
  const AverageRange rows = s.h.outputs_at(ih);
  for (std::int64_t iw = 0; iw < s.w.in; ++iw) {
    const AverageRange columns = s.w.outputs_at(iw);
    std::uint16_t* result = args.grad_input + ((image * s.h.in + ih) * s.w.in + iw) * s.channels;
    std::int64_t c = 0;
    for (; c + kAverageVectors * kLanes <= s.channels; c += kAverageVectors * kLanes) {
      share_channels<format, kAverageVectors, true>(s, gradient + c, rows, columns, 0, result + c);
    }
    for (; c + kLanes <= s.channels; c += kLanes) {
      share_channels<format, 1, true>(s, gradient + c, rows, columns, 0, result + c);
    }
    if (c < s.channels) {
      share_channels<format, 1, false>(s, gradient + c, rows, columns, s.channels - c, result + c);
    }
  }
}

// Columns stride * k + phase of input are seen by windows k + (phase + pad - tap) / stride, for
// those taps of which that is whole.
template <int stride>
HALFTONE_RUNG Vec share_phase(const AverageAxis& w, const float* shares, std::int64_t k,
                              std::int64_t phase) {
  Vec sum = splat(0);
  for (std::int64_t tap = (phase + w.pad) % stride; tap < w.kernel; tap += stride) {
    sum = sum + load(shares + k + (phase + w.pad - tap) / stride);
  }
  return sum;
}

template <HalfFormat format, int stride>
HALFTONE_RUNG void share_slide(const AverageAxis& w, const float* shares, std::uint16_t* result) {
  std::int64_t k = 0;
  for (; stride * (k + kLanes) <= w.in; k += kLanes) {
    if (stride == 1) {
      store_half(format, result + k, share_phase<stride>(w, shares, k, 0));
    } else {
      store_half_pairs(format, result + 2 * k, share_phase<stride>(w, shares, k, 0),
                       share_phase<stride>(w, shares, k, 1));
    }
  }
  const std::int64_t left = w.in - stride * k;
  if (left <= 0) return;
  if (stride == 1) {
    store_half_part(format, result + k, share_phase<stride>(w, shares, k, 0), left);
  } else {
    std::uint16_t pairs[2 * kLanes];
    store_half_pairs(format, pairs, share_phase<stride>(w, shares, k, 0),
                     share_phase<stride>(w, shares, k, 1));
    std::memcpy(result + 2 * k, pairs, static_cast<std::size_t>(left) * sizeof *pairs);
  }
}

template <HalfFormat format>
HALFTONE_RUNG_ENTRY void share_row_first(const AveragePoolBackwardArgs& args, std::int64_t plane,
                                         std::int64_t ih) {
  const AverageShape s = args.shape;
  const std::uint16_t* gradient = args.grad_output + plane * s.h.out * s.w.out;
  std::uint16_t* result = args.grad_input + (plane * s.h.in + ih) * s.w.in;
  float buffer[kAverageRow + kAverageKernel], sums[kAverageRow];
  float* shares = buffer + kAverageKernel;
  const AverageRange rows = s.h.outputs_at(ih);
  fill_zeros(buffer, shares);
  fill_zeros(shares, shares + s.w.out);
  for (std::int64_t oh = rows.begin; oh < rows.end; ++oh) {
    const std::uint16_t* from = gradient + oh * s.w.out;
    const float divisor = static_cast<float>(s.divisor ? s.divisor : s.h.count(oh) * s.w.kernel);
    const Vec weight = splat(s.w.adaptive ? 1.0f / static_cast<float>(s.h.count(oh)) : 1 / divisor);
    for (std::int64_t i = 0; i < s.w.out; i += kLanes) {
      const std::int64_t count = s.w.out - i < kLanes ? s.w.out - i : kLanes;
      store_part(
          shares + i,
          fmadd(load_half_part(format, from + i, count), weight, load_part(shares + i, count)),
          count);
    }
  }
  if (s.w.adaptive) {
    for (std::int64_t ow = 0; ow < s.w.out; ++ow) {
      shares[ow] *= 1.0f / static_cast<float>(s.w.count(ow));
    }
  } else if (!s.divisor) {
    weigh_border(s.w, shares);
  }
  if (!s.w.adaptive && s.w.stride <= 2) {
    fill_zeros(shares + s.w.out, shares + s.w.in / s.w.stride + s.w.pad + 2 * kLanes);
    s.w.stride == 1 ? share_slide<format, 1>(s.w, shares, result)
                    : share_slide<format, 2>(s.w, shares, result);
    return;
  }
  fill_zeros(sums, sums + s.w.in);
  for (std::int64_t ow = 0; ow < s.w.out; ++ow) {
    const AverageRange columns = s.w.window(ow);
    for (std::int64_t x = columns.begin; x < columns.end; ++x) sums[x] += shares[ow];
  }
  store_row<format>(sums, s.w.in, result);
}

template <HalfFormat format>
HALFTONE_RUNG_ENTRY void share_plane(const AveragePoolBackwardArgs& args, std::int64_t plane,
                                     std::int64_t) {
  const std::int64_t size = args.shape.h.in * args.shape.w.in;
  std::uint16_t* result = args.grad_input + plane * size;
  const Vec share =
      splat(half_to_float(format, args.grad_output[plane]) * average_weight(args.shape, 0, 0));
  std::int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) store_half(format, result + i, share);
  if (i < size) store_half_part(format, result + i, share, size - i);
}

inline bool is_global(const AverageShape& s) {
  return s.h.adaptive && s.h.out == 1 && s.w.out == 1;
}

// row(args, group, line) for all lines of all groups (images, or planes).
template <class Args>
void for_each_average_row(const Args& args, std::int64_t groups, std::int64_t lines,
                          std::int64_t elements,
                          void (*row)(const Args&, std::int64_t, std::int64_t)) {
  parallel_for(0, groups * lines, kAverageGrain / (elements + 1) + 1,
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i) row(args, i / lines, i % lines);
               });
}

template <HalfFormat format>
void average_rows(const AveragePoolArgs& args) {
  const AverageShape& s = args.shape;
  const std::int64_t planes = s.batch * s.channels;
  const std::int64_t lines = (s.h.in + s.h.out - 1) / (s.h.out > 0 ? s.h.out : 1);
  if (s.channels_last) {
    for_each_average_row(args, s.batch, s.h.out, lines * s.w.in * s.channels,
                         average_row_last<format>);
  } else if (is_global(s)) {
    for_each_average_row(args, planes, 1, s.h.in * s.w.in, average_plane<format>);
  } else {
    for_each_average_row(args, planes, s.h.out, lines * s.w.in, average_row_first<format>);
  }
}

template <HalfFormat format>
void share_rows(const AveragePoolBackwardArgs& args) {
  const AverageShape& s = args.shape;
  if (s.channels_last) {
    for_each_average_row(args, s.batch, s.h.in, s.w.in * s.channels, share_row_last<format>);
  } else if (is_global(s)) {
    for_each_average_row(args, s.batch * s.channels, 1, s.h.in * s.w.in, share_plane<format>);
  } else {
    for_each_average_row(args, s.batch * s.channels, s.h.in, s.w.in, share_row_first<format>);
  }
}

#undef HALFTONE_RUNG
#undef HALFTONE_RUNG_ENTRY
