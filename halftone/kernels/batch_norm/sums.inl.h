// The sums over a batch: of values and squares, or of gradients and gradients times values. A part
// of passes.inl.h.
// Rows read side by side hide from the processor that memory is walked in order: asks for the next
// group, from its beginning on, as far as this one has come. At least 4 KB ahead.
template <int kRows>
HALFTONE_RUNG void fetch_ahead(const std::uint16_t* p, std::int64_t at, std::int64_t width,
                               std::int64_t j) {
  if constexpr (kRows > 1) {
    constexpr std::int64_t kAhead = 2048;  // elements
    const std::int64_t group = kRows * width;
    const std::int64_t ahead = group < kAhead ? kAhead : group;
    const auto next = reinterpret_cast<std::uintptr_t>(p) +
                      2 * static_cast<std::uintptr_t>(at + ahead + kRows * j);
    for (std::int64_t k = 0; k < kRows * kLanes; k += 32) {
      __builtin_prefetch(reinterpret_cast<const void*>(next + 2 * static_cast<std::uintptr_t>(k)));
    }
  }
}

// Columns j to j + count of kRows rows from `at` on: their sums are added to `first` and `second`.
template <HalfFormat format, int kRows, bool part>
HALFTONE_RUNG void add_columns(const BatchNormSums& pass, std::int64_t at, std::int64_t width,
                               std::int64_t j, std::int64_t count, float* first, float* second) {
  const Vec center = read<part>(pass.center + j, count);
  Vec sum = splat(0), square = splat(0);
  fetch_ahead<kRows>(pass.x, at, width, j);
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    const Vec d = read<part>(format, pass.x + at + r * width + j, count) - center;
    sum = sum + d;
    square = fmadd(d, d, square);
  }
  write<part>(first + j, read<part>(first + j, count) + sum, count);
  write<part>(second + j, read<part>(second + j, count) + square, count);
}

template <HalfFormat format, BatchNormMask mask, int kRows, bool part>
HALFTONE_RUNG void add_gradients(const BatchNormSums& pass, std::int64_t at, std::int64_t width,
                                 std::int64_t j, std::int64_t count, float* first, float* second) {
  const Vec center = read<part>(pass.center + j, count);
  Vec scale = splat(0), shift = splat(0);
  if constexpr (mask == BatchNormMask::input) {
    scale = read<part>(pass.scale + j, count);
    shift = read<part>(pass.shift + j, count);
  }
  Vec sum = splat(0), product = splat(0);
  fetch_ahead<kRows>(pass.x, at, width, j);
  fetch_ahead<kRows>(pass.dy, at, width, j);
  if constexpr (mask == BatchNormMask::output) fetch_ahead<kRows>(pass.y, at, width, j);
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    const std::int64_t i = at + r * width + j;
    const Vec x = read<part>(format, pass.x + i, count);
    const Vec g = masked_gradient<format, mask, part>(pass, i, x, scale, shift, count);
    if (pass.masked) write<part>(format, pass.masked + i, g, count);
    sum = sum + g;
    product = fmadd(g, x - center, product);
  }
  write<part>(first + j, read<part>(first + j, count) + sum, count);
  write<part>(second + j, read<part>(second + j, count) + product, count);
}

template <HalfFormat format, BatchNormMask mask, bool gradients, int kRows>
HALFTONE_RUNG void add_rows(const BatchNormSums& pass, std::int64_t at, std::int64_t width,
                            std::int64_t length, float* first, float* second) {
  std::int64_t j = 0;
  for (; j + kLanes <= length; j += kLanes) {
    if constexpr (gradients) {
      add_gradients<format, mask, kRows, false>(pass, at, width, j, kLanes, first, second);
    } else {
      add_columns<format, kRows, false>(pass, at, width, j, kLanes, first, second);
    }
  }
  if (j == length) return;
  if constexpr (gradients) {
    add_gradients<format, mask, kRows, true>(pass, at, width, j, length - j, first, second);
  } else {
    add_columns<format, kRows, true>(pass, at, width, j, length - j, first, second);
  }
}

// Sums of one block of rows. Four rows at once: one read and write of the sums for all.
template <HalfFormat format, BatchNormMask mask, bool gradients>
HALFTONE_RUNG_ENTRY void sum_block(const BatchNormPlan& plan, const BatchNormSums& all,
                                   std::int64_t block) {
  constexpr int kTogether = 4;
  const BatchNormSums pass = all;  // a copy: stores can't change it
  const std::int64_t width = plan.width;
  float* first = pass.partial + 2 * block * width;
  float* second = first + width;
  for (std::int64_t j = 0; j < 2 * width; ++j) first[j] = 0;
  std::int64_t at = block * plan.block_rows * width;
  const std::int64_t end =
      at + plan.block_rows * width < plan.length ? at + plan.block_rows * width : plan.length;
  for (; at + kTogether * width <= end; at += kTogether * width) {
    add_rows<format, mask, gradients, kTogether>(pass, at, width, width, first, second);
  }
  for (; at + width <= end; at += width) {
    add_rows<format, mask, gradients, 1>(pass, at, width, width, first, second);
  }
  if (at < end) add_rows<format, mask, gradients, 1>(pass, at, width, end - at, first, second);
}

// Where item `item` of a shape cut into planes lies.
struct Piece {
  std::int64_t channel, group, begin, length;
};

inline Piece piece_of(const BatchNormPlan& plan, std::int64_t item) {
  const std::int64_t plane = item / plan.segments, segment = item % plan.segments;
  const std::int64_t start = segment * BatchNormPlan::kSegment, left = plan.length - start;
  return {plane % plan.channels, plane / plan.channels * plan.segments + segment,
          plane * plan.length + start,
          left < BatchNormPlan::kSegment ? left : BatchNormPlan::kSegment};
}

template <HalfFormat format, BatchNormMask mask, bool gradients, bool part>
HALFTONE_RUNG void add_elements(const BatchNormSums& pass, std::int64_t i, std::int64_t count,
                                Vec center, Vec scale, Vec shift, Vec& sum, Vec& second) {
  const Vec x = read<part>(format, pass.x + i, count);
  if constexpr (gradients) {
    const Vec g = masked_gradient<format, mask, part>(pass, i, x, scale, shift, count);
    if (pass.masked) write<part>(format, pass.masked + i, g, count);
    sum = sum + g;
    second = fmadd(g, x - center, second);
  } else {
    Vec d = x - center;
    if constexpr (part) {  // lanes behind the end are not zeros but -center
      float lanes[kLanes];
      store(lanes, d);
      d = load_part(lanes, count);
    }
    sum = sum + d;
    second = fmadd(d, d, second);
  }
}

// Sums of one segment of a plane. Four vectors at once: an addition takes four cycles.
template <HalfFormat format, BatchNormMask mask, bool gradients>
HALFTONE_RUNG_ENTRY void sum_piece(const BatchNormPlan& plan, const BatchNormSums& all,
                                   std::int64_t item) {
  constexpr int kTogether = 4, kSteps = 64;
  const BatchNormSums pass = all;
  const Piece piece = piece_of(plan, item);
  const Vec center = splat(pass.center[piece.channel]);
  Vec scale = splat(0), shift = splat(0);
  if constexpr (mask == BatchNormMask::input) {
    scale = splat(pass.scale[piece.channel]);
    shift = splat(pass.shift[piece.channel]);
  }
  Vec sums[kTogether], seconds[kTogether];
#pragma GCC unroll 4
  for (int k = 0; k < kTogether; ++k) sums[k] = seconds[k] = splat(0);
  std::int64_t i = piece.begin;
  const std::int64_t end = piece.begin + piece.length;
  while (i + kTogether * kLanes <= end) {
    Vec run[kTogether], second_run[kTogether];  // short: an fp32 sum loses with its length
#pragma GCC unroll 4
    for (int k = 0; k < kTogether; ++k) run[k] = second_run[k] = splat(0);
    for (int step = 0; step < kSteps && i + kTogether * kLanes <= end;
         ++step, i += kTogether * kLanes) {
#pragma GCC unroll 4
      for (int k = 0; k < kTogether; ++k) {
        add_elements<format, mask, gradients, false>(pass, i + k * kLanes, kLanes, center, scale,
                                                     shift, run[k], second_run[k]);
      }
    }
#pragma GCC unroll 4
    for (int k = 0; k < kTogether; ++k) {
      sums[k] = sums[k] + run[k];
      seconds[k] = seconds[k] + second_run[k];
    }
  }
  for (; i + kLanes <= end; i += kLanes) {
    add_elements<format, mask, gradients, false>(pass, i, kLanes, center, scale, shift, sums[0],
                                                 seconds[0]);
  }
  if (i < end) {
    add_elements<format, mask, gradients, true>(pass, i, end - i, center, scale, shift, sums[1],
                                                seconds[1]);
  }
  float* partial = pass.partial + 2 * piece.group * plan.width + piece.channel;
  partial[0] = reduce_add((sums[0] + sums[1]) + (sums[2] + sums[3]));
  partial[plan.width] = reduce_add((seconds[0] + seconds[1]) + (seconds[2] + seconds[3]));
}
