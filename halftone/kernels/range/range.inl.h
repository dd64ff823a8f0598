// Range by blocks, once for all rungs, behind vector/vec_*.inl.h, <limits>, <mutex> and
// base/parallel.h. No guard: the text is compiled once per rung.

// Elements of a block: its counters, one fp32 a lane, stay exact (below 2^24), and a task is worth
// some 20 us.
constexpr std::int64_t kRangeBlock = 65536;
constexpr float kLargestFinite = std::numeric_limits<float>::max();
constexpr float kInfinite = std::numeric_limits<float>::infinity();

// What one pass finds: numbers that are not finite are only counted together.
struct BlockRange {
  Vec low, high, zeros, finite;
};

HALFTONE_RUNG void include(BlockRange& block, Vec value) {
  const Vec magnitude = absolute(value), one = splat(1), none = splat(0);
  const Vec largest = splat(kLargestFinite);
  block.low = smaller(block.low, where_le(magnitude, largest, value, splat(kInfinite)));
  block.high = larger(block.high, where_le(magnitude, largest, value, splat(-kInfinite)));
  block.zeros = block.zeros + where_le(magnitude, none, one, none);
  block.finite = block.finite + where_le(magnitude, largest, one, none);
}

template <Element format>
HALFTONE_RUNG Vec load_values(const void* data, std::int64_t index) {
  if constexpr (format == Element::fp32) {
    return load(static_cast<const float*>(data) + index);
  } else {
    return load_half(half_format(format), static_cast<const std::uint16_t*>(data) + index);
  }
}

inline void include_not_finite(Element format, const void* data, std::int64_t begin,
                               std::int64_t end, ValueRange& range) {
  for (std::int64_t i = begin; i < end; ++i) {
    const float value = element_value(format, data, i);
    if (value != value) ++range.nans;
    if (value == kInfinite) ++range.positive_infinities;
    if (value == -kInfinite) ++range.negative_infinities;
  }
}

// [begin, end): whole vectors, then one by one.
template <Element format>
HALFTONE_RUNG_ENTRY void block_range(const void* data, std::int64_t begin, std::int64_t end,
                                     ValueRange& range) {
  BlockRange block{splat(kInfinite), splat(-kInfinite), splat(0), splat(0)};
  std::int64_t i = begin;
  for (; i + kLanes <= end; i += kLanes) include(block, load_values<format>(data, i));
  range.low = -reduce_max(splat(0) - block.low);
  range.high = reduce_max(block.high);
  range.zeros = static_cast<std::int64_t>(reduce_add(block.zeros));
  auto finite = static_cast<std::int64_t>(reduce_add(block.finite));
  for (; i < end; ++i) {
    const float value = element_value(format, data, i);
    if (!(value >= -kLargestFinite && value <= kLargestFinite)) continue;
    ++finite;
    range.zeros += value == 0;
    range.low = value < range.low ? value : range.low;
    range.high = value > range.high ? value : range.high;
  }
  if (finite != end - begin) include_not_finite(format, data, begin, end, range);
}

inline void merge(ValueRange& all, const ValueRange& part) {
  all.low = part.low < all.low ? part.low : all.low;
  all.high = part.high > all.high ? part.high : all.high;
  all.zeros += part.zeros;
  all.nans += part.nans;
  all.positive_infinities += part.positive_infinities;
  all.negative_infinities += part.negative_infinities;
}

// All of what is merged is exact, so that the order of the blocks does not matter.
inline void find_range(const RangeArgs& args) {
  const auto find = args.format == Element::fp32   ? block_range<Element::fp32>
                    : args.format == Element::fp16 ? block_range<Element::fp16>
                                                   : block_range<Element::bf16>;
  ValueRange all{kInfinite, -kInfinite, 0, 0, 0, 0};
  std::mutex mutex;
  const std::int64_t blocks = (args.length + kRangeBlock - 1) / kRangeBlock;
  parallel_for(0, blocks, 1, [&](std::int64_t first, std::int64_t last) {
    ValueRange mine{kInfinite, -kInfinite, 0, 0, 0, 0};
    for (std::int64_t i = first; i < last; ++i) {
      const std::int64_t end = (i + 1) * kRangeBlock;
      ValueRange part{};
      find(args.data, i * kRangeBlock, end < args.length ? end : args.length, part);
      merge(mine, part);
    }
    const std::lock_guard lock(mutex);
    merge(all, mine);
  });
  *args.result = all;
}

#undef HALFTONE_RUNG
#undef HALFTONE_RUNG_ENTRY
