// Upsampling, once for all rungs: behind vector/vec_*.inl.h and the rung's gather(const float*,
// const std::int32_t*). No guard: the text is compiled once per rung.

// Elements that one task should handle at least: some 20 us.
constexpr std::int64_t kUpsampleGrain = 65536;

struct UpsampleTables {
  UpsampleTaps h, w;
};

// Up to four inputs of an output, those of weight 0 left out.
struct UpsamplePoints {
  const std::uint16_t* from[4];
  float weight[4];
  int count = 0;

  HALFTONE_RUNG void add(const std::uint16_t* p, float factor) {
    if (factor == 0) return;
    from[count] = p, weight[count] = factor;
    ++count;
  }
};

HALFTONE_RUNG UpsamplePoints points_of(const UpsampleShape& s, const UpsampleTables& t,
                                       const std::uint16_t* image, std::int64_t oh,
                                       std::int64_t ow) {
  const std::int64_t line = s.w.in * s.channels;
  const std::uint16_t* rows[2] = {image + t.h.low[oh] * line, image + t.h.high[oh] * line};
  const float down[2] = {t.h.low_weight[oh], t.h.high_weight[oh]};
  UpsamplePoints points;
  for (int r = 0; r < 2; ++r) {
    points.add(rows[r] + t.w.low[ow] * s.channels, down[r] * t.w.low_weight[ow]);
    points.add(rows[r] + t.w.high[ow] * s.channels, down[r] * t.w.high_weight[ow]);
  }
  return points;
}

template <HalfFormat format>
HALFTONE_RUNG_ENTRY void upsample_row_last(const UpsampleArgs& args, const UpsampleTables& tables,
                                           std::int64_t image, std::int64_t oh) {
  const UpsampleShape s = args.shape;
  const std::uint16_t* input = args.input + image * s.h.in * s.w.in * s.channels;
  std::uint16_t* to = args.output + (image * s.h.out + oh) * s.w.out * s.channels;
  for (std::int64_t ow = 0; ow < s.w.out; ++ow, to += s.channels) {
    const UpsamplePoints points = points_of(s, tables, input, oh, ow);
    std::int64_t c = 0;
    for (; c + kLanes <= s.channels; c += kLanes) {
      Vec sum = splat(0);
      for (int k = 0; k < points.count; ++k) {
        sum = fmadd(load_half(format, points.from[k] + c), splat(points.weight[k]), sum);
      }
      store_half(format, to + c, sum);
    }
    if (c == s.channels) continue;
    Vec sum = splat(0);
    for (int k = 0; k < points.count; ++k) {
      sum = fmadd(load_half_part(format, points.from[k] + c, s.channels - c),
                  splat(points.weight[k]), sum);
    }
    store_half_part(format, to + c, sum, s.channels - c);
  }
}

// sums[i] (+)= weight * row[i] for `count` elements; whole vectors are written.
template <HalfFormat format>
HALFTONE_RUNG void add_row(const std::uint16_t* row, float weight, bool first, std::int64_t count,
                           float* sums) {
  const Vec factor = splat(weight);
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    store(sums + i, fmadd(load_half(format, row + i), factor, first ? splat(0) : load(sums + i)));
  }
  if (i == count) return;
  const Vec value = load_half_part(format, row + i, count - i);
  store(sums + i, fmadd(value, factor, first ? splat(0) : load(sums + i)));
}

template <HalfFormat format>
HALFTONE_RUNG_ENTRY void upsample_row_first(const UpsampleArgs& args, const UpsampleTables& t,
                                            std::int64_t plane, std::int64_t oh) {
  const UpsampleShape s = args.shape;
  const std::uint16_t* input = args.input + plane * s.h.in * s.w.in;
  std::uint16_t* to = args.output + (plane * s.h.out + oh) * s.w.out;
  auto* row = task_buffer<float>(WorkspaceSlot::sums, s.w.in + kLanes);
  const float low = t.h.low_weight[oh], high = t.h.high_weight[oh];
  if (low != 0) add_row<format>(input + t.h.low[oh] * s.w.in, low, true, s.w.in, row);
  if (high != 0) add_row<format>(input + t.h.high[oh] * s.w.in, high, low == 0, s.w.in, row);
  for (std::int64_t o = 0; o < s.w.out; o += kLanes) {
    const Vec left = load(t.w.low_weight + o), right = load(t.w.high_weight + o);
    const Vec near = gather(row, t.w.low + o) * left;
    const Vec both = fmadd(gather(row, t.w.high + o), right, near);
    const Vec value = where_le(right, splat(0), near, both);
    if (o + kLanes <= s.w.out) {
      store_half(format, to + o, value);
    } else {
      store_half_part(format, to + o, value, s.w.out - o);
    }
  }
}

// The rows of gradients that input row ih sees, weighed and added up; false where none do.
template <HalfFormat format>
HALFTONE_RUNG bool gather_rows(const UpsampleTaps& h, const std::uint16_t* gradient,
                               std::int64_t ih, std::int64_t length, float* sums) {
  std::int64_t begin, end;
  h.outputs_at(ih, begin, end);
  bool first = true;
  for (std::int64_t oh = begin; oh < end; ++oh) {
    const float weight = h.weight(oh, ih);
    if (weight == 0) continue;
    add_row<format>(gradient + oh * length, weight, first, length, sums);
    first = false;
  }
  return !first;
}

template <HalfFormat format>
HALFTONE_RUNG_ENTRY void gradient_row_last(const UpsampleBackwardArgs& args,
                                           const UpsampleTables& t, std::int64_t image,
                                           std::int64_t ih) {
  const UpsampleShape s = args.shape;
  const std::int64_t length = s.w.out * s.channels;
  std::uint16_t* to = args.grad_input + (image * s.h.in + ih) * s.w.in * s.channels;
  auto* sums = task_buffer<float>(WorkspaceSlot::sums, length + kLanes);
  const bool any =
      gather_rows<format>(t.h, args.grad_output + image * s.h.out * length, ih, length, sums);
  for (std::int64_t iw = 0; iw < s.w.in; ++iw, to += s.channels) {
    std::int64_t begin, end;
    t.w.outputs_at(iw, begin, end);
    if (!any) end = begin;
    for (std::int64_t c = 0; c < s.channels; c += kLanes) {
      const std::int64_t left = s.channels - c;
      Vec sum = splat(0);
      for (std::int64_t ow = begin; ow < end; ++ow) {
        const float weight = t.w.weight(ow, iw);
        // The buffer has a vector behind its end.
        if (weight != 0) sum = fmadd(load(sums + ow * s.channels + c), splat(weight), sum);
      }
      if (left >= kLanes) {
        store_half(format, to + c, sum);
      } else {
        store_half_part(format, to + c, sum, left);
      }
    }
  }
}

template <HalfFormat format>
HALFTONE_RUNG_ENTRY void gradient_row_first(const UpsampleBackwardArgs& args,
                                            const UpsampleTables& t, std::int64_t plane,
                                            std::int64_t ih) {
  const UpsampleShape s = args.shape;
  std::uint16_t* to = args.grad_input + (plane * s.h.in + ih) * s.w.in;
  auto* sums = task_buffer<float>(WorkspaceSlot::sums, s.w.out + s.w.in + 2 * kLanes);
  float* row = sums + s.w.out + kLanes;
  for (std::int64_t i = 0; i < s.w.in; ++i) row[i] = 0;
  if (gather_rows<format>(t.h, args.grad_output + plane * s.h.out * s.w.out, ih, s.w.out, sums)) {
    for (std::int64_t o = 0; o < s.w.out; ++o) {
      if (t.w.low_weight[o] != 0) row[t.w.low[o]] += t.w.low_weight[o] * sums[o];
      if (t.w.high_weight[o] != 0) row[t.w.high[o]] += t.w.high_weight[o] * sums[o];
    }
  }
  for (std::int64_t i = 0; i < s.w.in; i += kLanes) {
    if (i + kLanes <= s.w.in) {
      store_half(format, to + i, load(row + i));
    } else {
      store_half_part(format, to + i, load_part(row + i, s.w.in - i), s.w.in - i);
    }
  }
}

// row(args, tables, group, line) for all lines of all groups (images, or planes).
template <class Args>
void for_each_upsample_row(const Args& args, std::int64_t lines, std::int64_t elements,
                           void (*row)(const Args&, const UpsampleTables&, std::int64_t,
                                       std::int64_t)) {
  const UpsampleShape& s = args.shape;
  const std::int64_t groups = s.channels_last ? s.batch : s.batch * s.channels;
  if (groups <= 0 || s.channels <= 0) return;
  auto* memory =
      task_buffer<char>(WorkspaceSlot::rows, UpsampleTaps::bytes(s.h) + UpsampleTaps::bytes(s.w));
  const UpsampleTables tables{UpsampleTaps(s.h, s, memory),
                              UpsampleTaps(s.w, s, memory + UpsampleTaps::bytes(s.h))};
  const std::int64_t size = s.channels_last ? elements * s.channels : elements;
  parallel_for(0, groups * lines, kUpsampleGrain / (size + 1) + 1,
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i) row(args, tables, i / lines, i % lines);
               });
}

template <HalfFormat format>
void upsample_rows(const UpsampleArgs& args) {
  for_each_upsample_row(
      args, args.shape.h.out, args.shape.w.out,
      args.shape.channels_last ? upsample_row_last<format> : upsample_row_first<format>);
}

template <HalfFormat format>
void gradient_rows(const UpsampleBackwardArgs& args) {
  const UpsampleShape& s = args.shape;
  for_each_upsample_row(args, s.h.in, s.w.out * (1 + s.h.out / s.h.in),
                        s.channels_last ? gradient_row_last<format> : gradient_row_first<format>);
}

#undef HALFTONE_RUNG
#undef HALFTONE_RUNG_ENTRY
