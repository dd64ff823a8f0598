// Max pooling, once for all rungs: behind vector/vec_*.inl.h and the rung's own Index (kLanes
// int32), index_splat, index_add, index_ramp, load_index, store_index, widen_indices(_part),
// keep_larger, load_half_even and add_where_index(_part). No guard: the text is compiled once per
// rung.

// Outputs of a row that are worked on together: four vectors of rung avx512, so that the running
// maxima and indices (8 bytes each) stay in L1.
constexpr std::int64_t kPoolChunk = 64;

// Rows that are copied before the first is read: a load that spans two stores waits until both have
// left the store buffer.
constexpr std::int64_t kPoolRows = 4;

// Elements that one task should handle at least: some 20 us.
constexpr std::int64_t kPoolGrain = 65536;

struct PoolRange {
  std::int64_t begin, end;
};

// The taps of a window, of one axis, that lie inside of [0, size).
HALFTONE_RUNG PoolRange inside(std::int64_t first, std::int64_t kernel, std::int64_t size) {
  return {first < 0 ? -first : 0, size - first < kernel ? size - first : kernel};
}

HALFTONE_RUNG float lowest() { return -__builtin_inff(); }

// Vectors of channels that are worked on together, so that a tap's address and index are computed
// once for all of them: a network's channels are multiples of 64.
constexpr int kPoolVectors = 4;

// Vectors of channels from c on, of one output: whole ones, or one of which `count` are there.
template <HalfFormat format, int vectors, bool whole>
HALFTONE_RUNG void pool_channels(const PoolShape& s, const std::uint16_t* input, std::int64_t top,
                                 std::int64_t left, PoolRange rows, PoolRange columns,
                                 std::int64_t count, std::uint16_t* output, std::int64_t* indices) {
  Vec best[vectors];
  Index at[vectors];
  for (int v = 0; v < vectors; ++v) {
    best[v] = splat(lowest());
    at[v] = index_splat((top + rows.begin) * s.in_w + left + columns.begin);
  }
  for (std::int64_t i = rows.begin; i < rows.end; ++i) {
    std::int64_t place = (top + i) * s.in_w + left + columns.begin;
    const std::uint16_t* p = input + place * s.channels;
    for (std::int64_t j = columns.begin; j < columns.end; ++j, ++place, p += s.channels) {
      const Index here = index_splat(place);
      for (int v = 0; v < vectors; ++v) {
        keep_larger(best[v], at[v],
                    whole ? load_half(format, p + v * kLanes) : load_half_part(format, p, count),
                    here);
      }
    }
  }
  for (int v = 0; v < vectors; ++v) {
    if (whole) {
      store_half(format, output + v * kLanes, best[v]);
      widen_indices(indices + v * kLanes, at[v]);
    } else {
      store_half_part(format, output, best[v], count);
      widen_indices_part(indices, at[v], count);
    }
  }
}

// All channels of one output row.
template <HalfFormat format>
HALFTONE_RUNG_ENTRY void pool_row_last(const MaxPoolArgs& args, std::int64_t image,
                                       std::int64_t oh) {
  const PoolShape s = args.shape;
  const std::uint16_t* input = args.input + image * s.in_h * s.in_w * s.channels;
  const std::int64_t out = (image * s.out_h + oh) * s.out_w * s.channels;
  const std::int64_t top = oh * s.stride_h - s.pad_h;
  const PoolRange rows = inside(top, s.kernel_h, s.in_h);
  for (std::int64_t ow = 0; ow < s.out_w; ++ow) {
    const std::int64_t left = ow * s.stride_w - s.pad_w;
    const PoolRange columns = inside(left, s.kernel_w, s.in_w);
    std::uint16_t* output = args.output + out + ow * s.channels;
    std::int64_t* indices = args.indices + out + ow * s.channels;
    std::int64_t c = 0;
    for (; c + kPoolVectors * kLanes <= s.channels; c += kPoolVectors * kLanes) {
      pool_channels<format, kPoolVectors, true>(s, input + c, top, left, rows, columns, 0,
                                                output + c, indices + c);
    }
    for (; c + kLanes <= s.channels; c += kLanes) {
      pool_channels<format, 1, true>(s, input + c, top, left, rows, columns, 0, output + c,
                                     indices + c);
    }
    if (c < s.channels) {
      pool_channels<format, 1, false>(s, input + c, top, left, rows, columns, s.channels - c,
                                      output + c, indices + c);
    }
  }
}

// `count` elements of a row from column `first` on, -infinity where there is none.
HALFTONE_RUNG void copy_padded(HalfFormat format, const std::uint16_t* row, std::int64_t width,
                               std::int64_t first, std::int64_t count, std::uint16_t* copy) {
  const std::uint16_t none = format == HalfFormat::fp16 ? 0xfc00 : 0xff80;
  std::int64_t i = 0;
  for (; i < count && first + i < 0; ++i) copy[i] = none;
  const std::int64_t filled = width - first < count ? width - first : count;
  for (; i + 16 <= filled; i += 16) std::memcpy(copy + i, row + first + i, 16 * sizeof *row);
  for (; i < filled; ++i) copy[i] = row[first + i];
  for (; i < count; ++i) copy[i] = none;
}

// p[0], p[stride], ...; stride 0: any, as a number.
template <HalfFormat format, int stride>
HALFTONE_RUNG Vec load_every(const std::uint16_t* p, std::int64_t any) {
  if constexpr (stride == 1) return load_half(format, p);
  if constexpr (stride == 2) return load_half_even(format, p);
  std::uint16_t lanes[kLanes];
  for (std::int64_t i = 0; i < kLanes; ++i) lanes[i] = p[i * any];
  return load_half(format, lanes);
}

// Up to kPoolChunk outputs of one row of a plane, from column `begin` on.
template <HalfFormat format, int stride>
HALFTONE_RUNG void pool_chunk(const MaxPoolArgs& args, std::int64_t plane, std::int64_t oh,
                              std::int64_t begin, std::int64_t count) {
  const PoolShape& s = args.shape;
  const std::uint16_t* input = args.input + plane * s.in_h * s.in_w;
  const std::int64_t top = oh * s.stride_h - s.pad_h, left = begin * s.stride_w - s.pad_w;
  const PoolRange rows = inside(top, s.kernel_h, s.in_h);
  const std::int64_t whole = (count + kLanes - 1) / kLanes * kLanes;
  const Index ramp = index_ramp(s.stride_w), one = index_splat(1);
  float best[kPoolChunk];
  std::int32_t at[kPoolChunk];
  const std::int64_t first = (top + rows.begin) * s.in_w + left;
  for (std::int64_t k = 0; k < whole; k += kLanes) {
    store(best + k, splat(lowest()));
    store_index(at + k, index_add(ramp, index_splat(first + k * s.stride_w)));
  }
  for (std::int64_t k = 0; k < count && left + k * s.stride_w < 0; ++k) {
    at[k] -= static_cast<std::int32_t>(left + k * s.stride_w);
  }
  // The last vector's load of every second element reads one more.
  const std::int64_t span = whole * s.stride_w + s.kernel_w;
  const bool inner = left >= 0 && left + span <= s.in_w;
  std::uint16_t padded[kPoolRows][kPoolChunk * kMaxPoolStride + kMaxPoolKernel];
  for (std::int64_t i = rows.begin; i < rows.end; i += kPoolRows) {
    const std::int64_t lines = rows.end - i < kPoolRows ? rows.end - i : kPoolRows;
    const std::uint16_t* line[kPoolRows];
    for (std::int64_t r = 0; r < lines; ++r) {
      line[r] = input + (top + i + r) * s.in_w + left;
      if (inner) continue;
      copy_padded(format, line[r] - left, s.in_w, left, span, padded[r]);
      line[r] = padded[r];
    }
    for (std::int64_t k = 0; k < whole; k += kLanes) {
      Vec largest = load(best + k);
      Index place = load_index(at + k);
      for (std::int64_t r = 0; r < lines; ++r) {
        Index here = index_add(ramp, index_splat((top + i + r) * s.in_w + left + k * s.stride_w));
        for (std::int64_t j = 0; j < s.kernel_w; ++j) {
          keep_larger(largest, place,
                      load_every<format, stride>(line[r] + k * s.stride_w + j, s.stride_w), here);
          here = index_add(here, one);
        }
      }
      store(best + k, largest);
      store_index(at + k, place);
    }
  }
  const std::int64_t out = (plane * s.out_h + oh) * s.out_w + begin;
  std::int64_t k = 0;
  for (; k + kLanes <= count; k += kLanes) {
    store_half(format, args.output + out + k, load(best + k));
    widen_indices(args.indices + out + k, load_index(at + k));
  }
  if (k < count) {
    store_half_part(format, args.output + out + k, load(best + k), count - k);
    widen_indices_part(args.indices + out + k, load_index(at + k), count - k);
  }
}

template <HalfFormat format, int stride>
HALFTONE_RUNG_ENTRY void pool_row_first(const MaxPoolArgs& args, std::int64_t plane,
                                        std::int64_t oh) {
  const std::int64_t width = args.shape.out_w;
  for (std::int64_t begin = 0; begin < width; begin += kPoolChunk) {
    pool_chunk<format, stride>(args, plane, oh, begin,
                               width - begin < kPoolChunk ? width - begin : kPoolChunk);
  }
}

// The windows of one axis that see the element at `place`.
HALFTONE_RUNG PoolRange windows_at(std::int64_t place, std::int64_t kernel, std::int64_t stride,
                                   std::int64_t pad, std::int64_t out) {
  // All fit into 31 bits, where division is three times as fast.
  const auto step = static_cast<std::uint32_t>(stride);
  const auto last = static_cast<std::uint32_t>(place + pad);
  const auto size = static_cast<std::uint32_t>(kernel);
  const std::int64_t end = last / step + 1;
  return {last < size ? 0 : (last - size) / step + 1, end < out ? end : out};
}

template <HalfFormat format, int vectors, bool whole>
HALFTONE_RUNG void spread_channels(const PoolShape& s, const std::uint16_t* gradient,
                                   const std::int64_t* indices, PoolRange rows, PoolRange columns,
                                   std::int64_t place, std::int64_t count, std::uint16_t* result) {
  Vec sum[vectors];
  for (int v = 0; v < vectors; ++v) sum[v] = splat(0);
  for (std::int64_t oh = rows.begin; oh < rows.end; ++oh) {
    for (std::int64_t ow = columns.begin; ow < columns.end; ++ow) {
      const std::int64_t at = (oh * s.out_w + ow) * s.channels;
      for (int v = 0; v < vectors; ++v) {
        sum[v] = whole ? add_where_index(sum[v], indices + at + v * kLanes, place,
                                         load_half(format, gradient + at + v * kLanes))
                       : add_where_index_part(sum[v], indices + at, place,
                                              load_half_part(format, gradient + at, count), count);
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

// All channels of one input row, each element from the windows that see it.
template <HalfFormat format>
HALFTONE_RUNG_ENTRY void spread_row_last(const MaxPoolBackwardArgs& args, std::int64_t image,
                                         std::int64_t ih) {
  const PoolShape s = args.shape;
  const std::int64_t from = image * s.out_h * s.out_w * s.channels;
  const std::uint16_t* gradient = args.grad_output + from;
  const std::int64_t* indices = args.indices + from;
  const PoolRange rows = windows_at(ih, s.kernel_h, s.stride_h, s.pad_h, s.out_h);
  for (std::int64_t iw = 0; iw < s.in_w; ++iw) {
    const PoolRange columns = windows_at(iw, s.kernel_w, s.stride_w, s.pad_w, s.out_w);
    const std::int64_t place = ih * s.in_w + iw;
    std::uint16_t* result = args.grad_input + (image * s.in_h * s.in_w + place) * s.channels;
    std::int64_t c = 0;
    for (; c + kPoolVectors * kLanes <= s.channels; c += kPoolVectors * kLanes) {
      spread_channels<format, kPoolVectors, true>(s, gradient + c, indices + c, rows, columns,
                                                  place, 0, result + c);
    }
    for (; c + kLanes <= s.channels; c += kLanes) {
      spread_channels<format, 1, true>(s, gradient + c, indices + c, rows, columns, place, 0,
                                       result + c);
    }
    if (c < s.channels) {
      spread_channels<format, 1, false>(s, gradient + c, indices + c, rows, columns, place,
                                        s.channels - c, result + c);
    }
  }
}

// Rows of a plane whose sums take half of L1 (16 KB) together, so that few output rows are read
// twice.
constexpr std::int64_t kPoolBand = kMaxPoolWidth;
static_assert(kPoolBand * sizeof(float) <= 16384);

// Band `band` of a plane: scalar adds into fp32 sums, as one element takes 4 cycles where the
// compares of a gather take more.
template <HalfFormat format>
HALFTONE_RUNG_ENTRY void spread_band(const MaxPoolBackwardArgs& args, std::int64_t plane,
                                     std::int64_t band) {
  const PoolShape s = args.shape;
  const std::int64_t rows = kPoolBand / s.in_w, first = band * rows;
  const std::int64_t lines = s.in_h - first < rows ? s.in_h - first : rows;
  const std::int64_t size = lines * s.in_w, origin = first * s.in_w;
  // What belongs to another band goes to sums[size].
  float sums[kPoolBand + kLanes];
  for (std::int64_t k = 0; k < size; k += kLanes) store(sums + k, splat(0));
  const std::int64_t begin = windows_at(first, s.kernel_h, s.stride_h, s.pad_h, s.out_h).begin;
  const std::int64_t end =
      windows_at(first + lines - 1, s.kernel_h, s.stride_h, s.pad_h, s.out_h).end;
  const std::int64_t from = (plane * s.out_h + begin) * s.out_w;
  const std::int64_t count = (end - begin) * s.out_w;
  float wide[kPoolChunk];
  for (std::int64_t i = 0; i < count; i += kPoolChunk) {
    const std::int64_t chunk = count - i < kPoolChunk ? count - i : kPoolChunk;
    const std::uint16_t* gradient = args.grad_output + from + i;
    const std::int64_t* indices = args.indices + from + i;
    std::int64_t k = 0;
    for (; k + kLanes <= chunk; k += kLanes) store(wide + k, load_half(format, gradient + k));
    if (k < chunk) store(wide + k, load_half_part(format, gradient + k, chunk - k));
    for (k = 0; k < chunk; ++k) {
      const auto place = static_cast<std::uint64_t>(indices[k] - origin);
      const auto limit = static_cast<std::uint64_t>(size);
      sums[place < limit ? place : limit] += wide[k];
    }
  }
  std::uint16_t* result = args.grad_input + plane * s.in_h * s.in_w + origin;
  std::int64_t k = 0;
  for (; k + kLanes <= size; k += kLanes) store_half(format, result + k, load(sums + k));
  if (k < size) store_half_part(format, result + k, load(sums + k), size - k);
}

// row(group, line) for all lines of all groups (images, or planes).
template <class Row>
void for_each_pool_row(std::int64_t groups, std::int64_t lines, std::int64_t elements, Row row) {
  parallel_for(0, groups * lines, kPoolGrain / (elements + 1) + 1,
               [=](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i) row(i / lines, i % lines);
               });
}

template <HalfFormat format>
void max_pool_rows(const MaxPoolArgs& args) {
  const PoolShape& s = args.shape;
  if (s.channels_last) {
    for_each_pool_row(
        s.batch, s.out_h, s.out_w * s.channels * s.kernel_h,
        [&](std::int64_t image, std::int64_t oh) { pool_row_last<format>(args, image, oh); });
  } else {
    for_each_pool_row(s.batch * s.channels, s.out_h, s.out_w * s.kernel_h,
                      [&](std::int64_t plane, std::int64_t oh) {
                        if (s.stride_w == 1) {
                          pool_row_first<format, 1>(args, plane, oh);
                        } else if (s.stride_w == 2) {
                          pool_row_first<format, 2>(args, plane, oh);
                        } else {
                          pool_row_first<format, 0>(args, plane, oh);
                        }
                      });
  }
}

template <HalfFormat format>
void spread_rows(const MaxPoolBackwardArgs& args) {
  const PoolShape& s = args.shape;
  if (s.channels_last) {
    for_each_pool_row(
        s.batch, s.in_h, s.in_w * s.channels,
        [&](std::int64_t image, std::int64_t ih) { spread_row_last<format>(args, image, ih); });
  } else {
    const std::int64_t rows = kPoolBand / s.in_w;
    for_each_pool_row(
        s.batch * s.channels, (s.in_h + rows - 1) / rows, rows * s.in_w,
        [&](std::int64_t plane, std::int64_t band) { spread_band<format>(args, plane, band); });
  }
}

#undef HALFTONE_RUNG
#undef HALFTONE_RUNG_ENTRY
