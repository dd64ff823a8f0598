// Cross-entropy, once for all rungs: behind vector/vec_*.inl.h, vector/math.inl.h and
// softmax/row.inl.h. No guard: the text is compiled once per rung.

// The sum over at most kSoftmaxBlock columns.
template <HalfFormat format>
HALFTONE_RUNG float logit_sum(const std::uint16_t* x, std::int64_t columns) {
  Vec even = splat(0), odd = splat(0);
  std::int64_t i = 0;
  for (; i + 2 * kLanes <= columns; i += 2 * kLanes) {
    even = even + load_half(format, x + i);
    odd = odd + load_half(format, x + i + kLanes);
  }
  for (; i < columns; i += kLanes) {
    const std::int64_t count = columns - i < kLanes ? columns - i : kLanes;
    even = even + load_half_part(format, x + i, count);
  }
  return reduce_add(even + odd);
}

template <HalfFormat format>
HALFTONE_RUNG_ENTRY void cross_entropy_row(const CrossEntropyArgs& args, std::int64_t row) {
  const std::int64_t columns = args.columns, target = args.target[row];
  const std::uint16_t* x = args.input + row * columns;
  args.max[row] = args.log[row] = args.loss[row] = 0;
  if (target == args.ignore_index) return;
  const float max = row_max<format>(x, columns);
  double exponentials = 0, logits = 0;
  for (std::int64_t i = 0; i < columns; i += kSoftmaxBlock) {
    const std::int64_t count = columns - i < kSoftmaxBlock ? columns - i : kSoftmaxBlock;
    float unused[kLanes];
    exponentials += exponential_sum<format, false>(x + i, count, max, unused);
    if (args.smoothing != 0) logits += logit_sum<format>(x + i, count);
  }
  const float log = std::log(static_cast<float>(exponentials));
  const float mean = static_cast<float>(logits / static_cast<double>(columns));
  args.max[row] = max;
  args.log[row] = log;
  args.loss[row] = (max - half_to_float(args.format, x[target])) * (1 - args.smoothing) + log;
  if (args.smoothing != 0) args.loss[row] += (max - mean) * args.smoothing;
}

template <HalfFormat format>
HALFTONE_RUNG_ENTRY void cross_entropy_backward_row(const CrossEntropyBackwardArgs& args,
                                                    std::int64_t row) {
  const std::int64_t columns = args.columns, target = args.target[row];
  const std::uint16_t* x = args.input + row * columns;
  std::uint16_t* result = args.grad_input + row * columns;
  if (target == args.ignore_index) {
    for (std::int64_t i = 0; i < columns; ++i) result[i] = 0;
    return;
  }
  const Vec max = splat(args.max[row]), log = splat(args.log[row]);
  const Vec spread = splat(args.smoothing / static_cast<float>(columns));
  const Vec g = splat(args.grad_loss[row]);
  // Read before the row is overwritten.
  const Vec of_target = exponential((load_half_part(format, x + target, 1) - max) - log);
  std::int64_t i = 0;
  for (; i + kLanes <= columns; i += kLanes) {
    const Vec p = exponential((load_half(format, x + i) - max) - log);
    store_half(format, result + i, (p - spread) * g);
  }
  if (i < columns) {
    const std::int64_t count = columns - i;
    const Vec p = exponential((load_half_part(format, x + i, count) - max) - log);
    store_half_part(format, result + i, (p - spread) * g, count);
  }
  store_half_part(format, result + target, ((of_target - spread) - splat(1 - args.smoothing)) * g,
                  1);
}

inline void cross_entropy_rows(const CrossEntropyArgs& args) {
  for_each_softmax_row(args, args.format == HalfFormat::fp16 ? cross_entropy_row<HalfFormat::fp16>
                                                             : cross_entropy_row<HalfFormat::bf16>);
}

inline void cross_entropy_backward_rows(const CrossEntropyBackwardArgs& args) {
  for_each_softmax_row(args, args.format == HalfFormat::fp16
                                 ? cross_entropy_backward_row<HalfFormat::fp16>
                                 : cross_entropy_backward_row<HalfFormat::bf16>);
}

#undef HALFTONE_RUNG
#undef HALFTONE_RUNG_ENTRY
