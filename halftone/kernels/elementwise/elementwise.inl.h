// The passes, once for all rungs, behind vector/vec_*.inl.h, bits_*.inl.h and words_*.inl.h. No
// guard: the text is compiled once per rung.

// Elements that one task should handle at least: some 2 us, as LibTorch's own passes.
constexpr std::int64_t kElementwiseGrain = 32768;

// As signed words, numbers of either format are ordered from -0 to -infinity below the NaNs with a
// sign, which lie below 0: what is above -infinity's word is positive, 0 or NaN.
constexpr std::int16_t minus_infinity(HalfFormat format) {
  return static_cast<std::int16_t>(format == HalfFormat::fp16 ? 0xfc00 : 0xff80);
}

// The words behind the last whole register, as a register.
struct TailWords {
  std::uint16_t words[kWords] = {};
  TailWords(const std::uint16_t* from, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) words[i] = from[i];
  }
  void put(std::uint16_t* to, std::int64_t count) const {
    for (std::int64_t i = 0; i < count; ++i) to[i] = words[i];
  }
};

HALFTONE_RUNG_ENTRY void relu_range(const ReluArgs& args, std::int64_t i, std::int64_t end) {
  const std::uint16_t* input = args.input;
  std::uint16_t* output = args.output;
  const Words least = splat_words(minus_infinity(args.format));
  for (; i + kWords <= end; i += kWords) {
    const Words x = load_words(input + i);
    store_words(output + i, words_where_gt(x, least, x));
  }
  TailWords tail(input + i, end - i);
  const Words x = load_words(tail.words);
  store_words(tail.words, words_where_gt(x, least, x));
  tail.put(output + i, end - i);
}

HALFTONE_RUNG Words relu_gradient(Words least, Words gradient, Words result) {
  return words_where_any(result, words_where_gt(result, least, gradient));
}

HALFTONE_RUNG_ENTRY void relu_backward_range(const ReluBackwardArgs& args, std::int64_t i,
                                             std::int64_t end) {
  const std::uint16_t *gradient = args.grad_output, *result = args.result;
  std::uint16_t* output = args.grad_input;
  const Words least = splat_words(minus_infinity(args.format));
  for (; i + kWords <= end; i += kWords) {
    store_words(output + i, relu_gradient(least, load_words(gradient + i), load_words(result + i)));
  }
  TailWords tail(gradient + i, end - i);
  const TailWords of_result(result + i, end - i);
  store_words(tail.words,
              relu_gradient(least, load_words(tail.words), load_words(of_result.words)));
  tail.put(output + i, end - i);
}

HALFTONE_RUNG void add_bf16_pairs(const AddArgs& args, std::int64_t i, Vec alpha) {
  Vec even, odd, more_even, more_odd;
  load_bf16_pairs(args.a + i, even, odd);
  load_bf16_pairs(args.b + i, more_even, more_odd);
  store_bf16_pairs(args.output + i, fmadd(alpha, more_even, even), fmadd(alpha, more_odd, odd));
}

template <HalfFormat format>
HALFTONE_RUNG_ENTRY void add_range(const AddArgs& given, std::int64_t i, std::int64_t end) {
  const AddArgs args = given;  // what is stored might be the arguments
  const Vec alpha = splat(args.alpha);
  if constexpr (format == HalfFormat::bf16) {
    for (; i + 2 * kLanes <= end; i += 2 * kLanes) add_bf16_pairs(args, i, alpha);
  }
  for (; i + kLanes <= end; i += kLanes) {
    store_half(format, args.output + i,
               fmadd(alpha, load_half(format, args.b + i), load_half(format, args.a + i)));
  }
  if (i < end) {
    store_half_part(format, args.output + i,
                    fmadd(alpha, load_half_part(format, args.b + i, end - i),
                          load_half_part(format, args.a + i, end - i)),
                    end - i);
  }
}

inline void relu_all(const ReluArgs& args) {
  parallel_for(0, args.length, kElementwiseGrain,
               [&](std::int64_t begin, std::int64_t end) { relu_range(args, begin, end); });
}

inline void relu_backward_all(const ReluBackwardArgs& args) {
  parallel_for(0, args.length, kElementwiseGrain, [&](std::int64_t begin, std::int64_t end) {
    relu_backward_range(args, begin, end);
  });
}

inline void add_all(const AddArgs& args) {
  const auto range =
      args.format == HalfFormat::fp16 ? add_range<HalfFormat::fp16> : add_range<HalfFormat::bf16>;
  parallel_for(0, args.length, kElementwiseGrain,
               [&](std::int64_t begin, std::int64_t end) { range(args, begin, end); });
}

#undef HALFTONE_RUNG
#undef HALFTONE_RUNG_ENTRY
