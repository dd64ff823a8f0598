// What softmax and cross-entropy do with a row of halves: its maximum, its sum of exponentials.
// Behind vector/vec_*.inl.h and vector/math.inl.h. No guard: the text is compiled once per rung.

// Elements that one task should handle at least: some 20 us.
constexpr std::int64_t kSoftmaxGrain = 16384;

// -infinity in the lanes beyond `count`, 0 in the others: added to a part of a row, it leaves
// nothing there for maximum and sum.
HALFTONE_RUNG Vec beyond(std::int64_t count) {
  float lanes[kLanes];
  for (std::int64_t i = 0; i < kLanes; ++i) lanes[i] = i < count ? 0 : -__builtin_inff();
  return load(lanes);
}

template <HalfFormat format>
HALFTONE_RUNG float row_max(const std::uint16_t* x, std::int64_t columns) {
  Vec largest = splat(-__builtin_inff()), other = largest;
  std::int64_t i = 0;
  for (; i + 2 * kLanes <= columns; i += 2 * kLanes) {
    largest = larger(largest, load_half(format, x + i));
    other = larger(other, load_half(format, x + i + kLanes));
  }
  for (; i + kLanes <= columns; i += kLanes) largest = larger(largest, load_half(format, x + i));
  if (i < columns) {
    const std::int64_t count = columns - i;
    other = larger(other, load_half_part(format, x + i, count) + beyond(count));
  }
  return reduce_max(larger(largest, other));
}

// The sum of e^(x - m) over at most kSoftmaxBlock columns; with `keep` also each of them.
template <HalfFormat format, bool keep>
HALFTONE_RUNG float exponential_sum(const std::uint16_t* x, std::int64_t columns, float m,
                                    float* kept) {
  const Vec shift = splat(m);
  Vec even = splat(0), odd = splat(0);
  std::int64_t i = 0;
  for (; i + 2 * kLanes <= columns; i += 2 * kLanes) {
    const Vec a = exponential(load_half(format, x + i) - shift);
    const Vec b = exponential(load_half(format, x + i + kLanes) - shift);
    if (keep) store(kept + i, a), store(kept + i + kLanes, b);
    even = even + a;
    odd = odd + b;
  }
  for (; i + kLanes <= columns; i += kLanes) {
    const Vec a = exponential(load_half(format, x + i) - shift);
    if (keep) store(kept + i, a);
    even = even + a;
  }
  if (i < columns) {
    const std::int64_t count = columns - i;
    const Vec a = exponential((load_half_part(format, x + i, count) + beyond(count)) - shift);
    if (keep) store(kept + i, a);
    odd = odd + a;
  }
  return reduce_add(even + odd);
}

template <class Args>
void for_each_softmax_row(const Args& args, void (*row)(const Args&, std::int64_t)) {
  parallel_for(0, args.columns > 0 ? args.rows : 0, kSoftmaxGrain / (args.columns + 1) + 1,
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i) row(args, i);
               });
}
