// The backward pass, once for all rungs, behind vector/vec_*.inl.h. No guard: the text is compiled
// once per rung.

// Elements that one task should handle at least: some 20 us.
constexpr std::int64_t kActivationGrain = 32768;

// Slopes that are looked up before they are used: a vector's load that spans several stores waits
// until they have left the store buffer.
constexpr std::int64_t kSlopes = 256;

template <HalfFormat format>
HALFTONE_RUNG_ENTRY void multiply_range(const float* table, const std::uint16_t* gradient,
                                        const std::uint16_t* input, std::uint16_t* result,
                                        std::int64_t length) {
  float slopes[kSlopes];
  for (std::int64_t begin = 0; begin < length; begin += kSlopes) {
    const std::int64_t count = length - begin < kSlopes ? length - begin : kSlopes;
    std::int64_t i = 0;
    for (; i + 4 <= count; i += 4) {
      slopes[i] = table[input[begin + i]];
      slopes[i + 1] = table[input[begin + i + 1]];
      slopes[i + 2] = table[input[begin + i + 2]];
      slopes[i + 3] = table[input[begin + i + 3]];
    }
    for (; i < count; ++i) slopes[i] = table[input[begin + i]];
    for (i = 0; i + kLanes <= count; i += kLanes) {
      store_half(format, result + begin + i,
                 load(slopes + i) * load_half(format, gradient + begin + i));
    }
    if (i < count) {
      store_half_part(format, result + begin + i,
                      load_part(slopes + i, count - i) *
                          load_half_part(format, gradient + begin + i, count - i),
                      count - i);
    }
  }
}

inline void multiply_slopes(const ActivationBackwardArgs& args) {
  const float* table = slope_table(args.activation, args.format);
  parallel_for(0, args.length, kActivationGrain, [&](std::int64_t begin, std::int64_t end) {
    const auto multiply = args.format == HalfFormat::fp16 ? multiply_range<HalfFormat::fp16>
                                                          : multiply_range<HalfFormat::bf16>;
    multiply(table, args.grad_output + begin, args.input + begin, args.grad_input + begin,
             end - begin);
  });
}

#undef HALFTONE_RUNG
#undef HALFTONE_RUNG_ENTRY
