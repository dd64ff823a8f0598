// Exponents by blocks, once for all rungs, behind vector/vec_*.inl.h, <bit>, <cmath>, <limits> and
// base/parallel.h. No guard: the text is compiled once per rung.

// Elements that are widened to fp32 at once: 16 KB, half of L1. Counted from there, so that memory
// is read once.
constexpr std::int64_t kExponentBlock = 4096;
// Pieces that are counted by themselves and added in order: enough for the threads of a machine,
// and 70 KB of counters on the stack.
constexpr int kPieces = 64;
// Counters that take turns: the next element often has the same exponent, and a counter's increment
// has to wait for the one before.
constexpr int kCounters = 4;
constexpr float kLargest = std::numeric_limits<float>::max();
constexpr float kSumTooSmall = 0x1p-60f, kSumTooLarge = 0x1p120f;

struct PieceCounts {
  std::uint32_t by_exponent[kCounters][256];
  std::int64_t zeros;
  float amax;
  double square_sum;
};

template <Element format>
HALFTONE_RUNG Vec widened(const void* data, std::int64_t index) {
  if constexpr (format == Element::fp32) {
    return load(static_cast<const float*>(data) + index);
  } else {
    return load_half(half_format(format), static_cast<const std::uint16_t*>(data) + index);
  }
}

inline double square_sum_in_double(const float* values, std::int64_t count) {
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    if (std::fabs(values[i]) <= kLargest) sum += static_cast<double>(values[i]) * values[i];
  }
  return sum;
}

inline void count_block(const float* values, std::int64_t count, PieceCounts& piece) {
  std::int64_t i = 0, zeros = 0;
  const auto add = [&](std::int64_t index, int counter) {
    const auto bits = std::bit_cast<std::uint32_t>(values[index]);
    ++piece.by_exponent[counter][(bits >> 23) & 0xff];
    zeros += (bits << 1) == 0;
  };
  for (; i + kCounters <= count; i += kCounters) {
    add(i, 0);
    add(i + 1, 1);
    add(i + 2, 2);
    add(i + 3, 3);
  }
  for (; i < count; ++i) add(i, 0);
  piece.zeros += zeros;
}

// count <= kExponentBlock elements from `begin`.
template <Element format>
HALFTONE_RUNG_ENTRY void exponents_of_block(const void* data, std::int64_t begin,
                                            std::int64_t count, PieceCounts& piece) {
  float values[kExponentBlock];
  Vec largest = splat(0), sum = splat(0);
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const Vec value = widened<format>(data, begin + i);
    store(values + i, value);
    const Vec magnitude = absolute(value);
    const Vec finite = where_le(magnitude, splat(kLargest), magnitude, splat(0));
    largest = larger(finite, largest);
    sum = fmadd(finite, finite, sum);
  }
  float amax = reduce_max(largest), tail = 0;
  for (; i < count; ++i) {
    values[i] = element_value(format, data, begin + i);
    const float magnitude = std::fabs(values[i]);
    if (!(magnitude <= kLargest)) continue;
    amax = magnitude > amax ? magnitude : amax;
    tail += magnitude * magnitude;
  }
  const float squares = reduce_add(sum) + tail;
  const bool precise = squares >= kSumTooSmall && squares <= kSumTooLarge;
  piece.square_sum +=
      precise || amax == 0 ? static_cast<double>(squares) : square_sum_in_double(values, count);
  piece.amax = amax > piece.amax ? amax : piece.amax;
  count_block(values, count, piece);
}

inline void add_piece(ExponentCounts& all, const PieceCounts& piece) {
  for (const auto& counter : piece.by_exponent) {
    for (std::size_t e = 0; e < 256; ++e) all.by_exponent[e] += counter[e];
  }
  all.zeros += piece.zeros;
  all.amax = piece.amax > all.amax ? piece.amax : all.amax;
  all.square_sum += piece.square_sum;
}

inline void count_all(const ExponentArgs& args) {
  const auto count = args.format == Element::fp32   ? exponents_of_block<Element::fp32>
                     : args.format == Element::fp16 ? exponents_of_block<Element::fp16>
                                                    : exponents_of_block<Element::bf16>;
  const std::int64_t blocks = (args.length + kExponentBlock - 1) / kExponentBlock;
  const std::int64_t pieces = blocks < kPieces ? blocks : kPieces;
  *args.result = {};
  if (pieces == 0) return;
  const std::int64_t blocks_each = (blocks + pieces - 1) / pieces;
  PieceCounts counts[kPieces];
  parallel_for(0, pieces, 4, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t p = first; p < last; ++p) {
      counts[p] = {};
      const std::int64_t end = (p + 1) * blocks_each * kExponentBlock;
      const std::int64_t stop = end < args.length ? end : args.length;
      for (std::int64_t i = p * blocks_each * kExponentBlock; i < stop; i += kExponentBlock) {
        count(args.data, i, stop - i < kExponentBlock ? stop - i : kExponentBlock, counts[p]);
      }
    }
  });
  for (std::int64_t p = 0; p < pieces; ++p) add_piece(*args.result, counts[p]);
}

#undef HALFTONE_RUNG
#undef HALFTONE_RUNG_ENTRY
