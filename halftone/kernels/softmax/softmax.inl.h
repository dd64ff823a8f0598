// Softmax, once for all rungs: behind vector/vec_*.inl.h, vector/math.inl.h and row.inl.h. No
// guard: the text is compiled once per rung.

// A row's numbers: its maximum, ln s and 1 / s.
struct SoftmaxRow {
  float max, log, scale;
};

enum class SoftmaxKind { log, kept, recomputed };

// kept: the exponential, where the kind says so.
template <SoftmaxKind kind>
HALFTONE_RUNG Vec softmax_result(const SoftmaxRow& row, Vec x, Vec kept) {
  if (kind == SoftmaxKind::log) return (x - splat(row.max)) - splat(row.log);
  if (kind == SoftmaxKind::kept) return kept * splat(row.scale);
  return exponential(x - splat(row.max)) * splat(row.scale);
}

template <HalfFormat format, SoftmaxKind kind>
HALFTONE_RUNG_ENTRY void softmax_row(const SoftmaxArgs& args, std::int64_t index) {
  const std::int64_t columns = args.columns;
  const std::uint16_t* x = args.input + index * columns;
  std::uint16_t* y = args.output + index * columns;
  constexpr bool keep = kind == SoftmaxKind::kept;
  float kept[keep ? kSoftmaxBlock + kLanes : kLanes];
  SoftmaxRow row;
  row.max = row_max<format>(x, columns);
  double sum = 0;
  for (std::int64_t i = 0; i < columns; i += kSoftmaxBlock) {
    const std::int64_t count = columns - i < kSoftmaxBlock ? columns - i : kSoftmaxBlock;
    sum += exponential_sum<format, keep>(x + i, count, row.max, kept);
  }
  row.log = kind == SoftmaxKind::log ? std::log(static_cast<float>(sum)) : 0;
  row.scale = static_cast<float>(1 / sum);
  std::int64_t i = 0;
  for (; i + kLanes <= columns; i += kLanes) {
    store_half(format, y + i,
               softmax_result<kind>(row, keep ? splat(0) : load_half(format, x + i),
                                    keep ? load(kept + i) : splat(0)));
  }
  if (i < columns) {
    const std::int64_t count = columns - i;
    store_half_part(format, y + i,
                    softmax_result<kind>(row, load_half_part(format, x + i, count),
                                         keep ? load(kept + i) : splat(0)),
                    count);
  }
}

// sum g y, or sum g.
template <HalfFormat format, bool log>
HALFTONE_RUNG float gradient_sum(const std::uint16_t* g, const std::uint16_t* y,
                                 std::int64_t columns) {
  Vec even = splat(0), odd = splat(0);
  std::int64_t i = 0;
  for (; i + 2 * kLanes <= columns; i += 2 * kLanes) {
    const Vec a = load_half(format, g + i), b = load_half(format, g + i + kLanes);
    even = log ? even + a : fmadd(a, load_half(format, y + i), even);
    odd = log ? odd + b : fmadd(b, load_half(format, y + i + kLanes), odd);
  }
  for (; i < columns; i += kLanes) {
    const std::int64_t count = columns - i < kLanes ? columns - i : kLanes;
    const Vec a = load_half_part(format, g + i, count);
    even = log ? even + a : fmadd(a, load_half_part(format, y + i, count), even);
  }
  return reduce_add(even + odd);
}

template <bool log>
HALFTONE_RUNG Vec softmax_gradient(Vec g, Vec y, Vec sum) {
  return log ? fnmadd(exponential(y), sum, g) : y * (g - sum);
}

template <HalfFormat format, bool log>
HALFTONE_RUNG_ENTRY void softmax_backward_row(const SoftmaxBackwardArgs& args, std::int64_t row) {
  const std::int64_t columns = args.columns;
  const std::uint16_t* g = args.grad_output + row * columns;
  const std::uint16_t* y = args.output + row * columns;
  std::uint16_t* result = args.grad_input + row * columns;
  double total = 0;
  for (std::int64_t i = 0; i < columns; i += kSoftmaxBlock) {
    const std::int64_t count = columns - i < kSoftmaxBlock ? columns - i : kSoftmaxBlock;
    total += gradient_sum<format, log>(g + i, y + i, count);
  }
  const Vec sum = splat(static_cast<float>(total));
  std::int64_t i = 0;
  for (; i + kLanes <= columns; i += kLanes) {
    store_half(format, result + i,
               softmax_gradient<log>(load_half(format, g + i), load_half(format, y + i), sum));
  }
  if (i < columns) {
    const std::int64_t count = columns - i;
    store_half_part(format, result + i,
                    softmax_gradient<log>(load_half_part(format, g + i, count),
                                          load_half_part(format, y + i, count), sum),
                    count);
  }
}

template <HalfFormat format>
void softmax_rows_of(const SoftmaxArgs& args) {
  for_each_softmax_row(args, args.log ? softmax_row<format, SoftmaxKind::log>
                             : args.columns <= kSoftmaxBlock
                                 ? softmax_row<format, SoftmaxKind::kept>
                                 : softmax_row<format, SoftmaxKind::recomputed>);
}

inline void softmax_rows(const SoftmaxArgs& args) {
  args.format == HalfFormat::fp16 ? softmax_rows_of<HalfFormat::fp16>(args)
                                  : softmax_rows_of<HalfFormat::bf16>(args);
}

template <HalfFormat format>
void softmax_backward_rows_of(const SoftmaxBackwardArgs& args) {
  for_each_softmax_row(
      args, args.log ? softmax_backward_row<format, true> : softmax_backward_row<format, false>);
}

inline void softmax_backward_rows(const SoftmaxBackwardArgs& args) {
  args.format == HalfFormat::fp16 ? softmax_backward_rows_of<HalfFormat::fp16>(args)
                                  : softmax_backward_rows_of<HalfFormat::bf16>(args);
}

#undef HALFTONE_RUNG
#undef HALFTONE_RUNG_ENTRY
