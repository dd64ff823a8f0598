// The embedding's backward pass, once for all rungs: behind vector/vec_*.inl.h. No guard: the text
// is compiled once per rung.

// Elements that one task should handle at least: some 20 us.
constexpr std::int64_t kEmbeddingGrain = 65536;

// Vectors of a row that are summed together, so that a token's place is looked up once for them.
constexpr int kEmbeddingVectors = 4;

struct WordTokens {
  const std::int32_t* begin;
  const std::int32_t* end;
};

template <HalfFormat format, int vectors, bool whole>
HALFTONE_RUNG void sum_tokens(const std::uint16_t* grad, std::int64_t width, WordTokens tokens,
                              float weight, std::int64_t count, std::uint16_t* result) {
  Vec sum[vectors];
  for (int v = 0; v < vectors; ++v) sum[v] = splat(0);
  for (const std::int32_t* token = tokens.begin; token < tokens.end; ++token) {
    const std::uint16_t* row = grad + *token * width;
    for (int v = 0; v < vectors; ++v) {
      sum[v] = sum[v] +
               (whole ? load_half(format, row + v * kLanes) : load_half_part(format, row, count));
    }
  }
  for (int v = 0; v < vectors; ++v) {
    if (whole) {
      store_half(format, result + v * kLanes, sum[v] * splat(weight));
    } else {
      store_half_part(format, result, sum[v] * splat(weight), count);
    }
  }
}

template <HalfFormat format>
HALFTONE_RUNG_ENTRY void sum_word(const EmbeddingBackwardArgs& args, std::int64_t word,
                                  WordTokens tokens) {
  const std::int64_t width = args.width;
  std::uint16_t* result = args.grad_table + word * width;
  if (tokens.begin == tokens.end || word == args.padding) {
    std::memset(result, 0, static_cast<std::size_t>(width) * sizeof *result);
    return;
  }
  const float weight =
      args.by_frequency ? 1.0f / static_cast<float>(tokens.end - tokens.begin) : 1.0f;
  std::int64_t i = 0;
  for (; i + kEmbeddingVectors * kLanes <= width; i += kEmbeddingVectors * kLanes) {
    sum_tokens<format, kEmbeddingVectors, true>(args.grad + i, width, tokens, weight, 0,
                                                result + i);
  }
  for (; i + kLanes <= width; i += kLanes) {
    sum_tokens<format, 1, true>(args.grad + i, width, tokens, weight, 0, result + i);
  }
  if (i < width) {
    sum_tokens<format, 1, false>(args.grad + i, width, tokens, weight, width - i, result + i);
  }
}

// Counting sort, stable. ends[w]: where the tokens of word w end in order.
inline void sort_tokens(const EmbeddingBackwardArgs& args, std::int32_t* ends,
                        std::int32_t* order) {
  const auto known = [&](std::int64_t word) { return word >= 0 && word < args.words; };
  std::fill(ends, ends + args.words + 1, 0);
  for (std::int64_t t = 0; t < args.tokens; ++t) {
    if (known(args.indices[t])) ++ends[args.indices[t] + 1];
  }
  for (std::int64_t w = 1; w <= args.words; ++w) ends[w] += ends[w - 1];
  // ends[w] is where the word's tokens begin, and moves to their end.
  for (std::int64_t t = 0; t < args.tokens; ++t) {
    if (known(args.indices[t])) order[ends[args.indices[t]]++] = static_cast<std::int32_t>(t);
  }
}

template <HalfFormat format>
void sum_words(const EmbeddingBackwardArgs& args) {
  std::int32_t* ends = args.scratch;
  std::int32_t* order = ends + args.words + 1;
  sort_tokens(args, ends, order);
  parallel_for(0, args.words, kEmbeddingGrain / (args.width + 1) + 1,
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t w = begin; w < end; ++w) {
                   sum_word<format>(args, w, {order + (w > 0 ? ends[w - 1] : 0), order + ends[w]});
                 }
               });
}

#undef HALFTONE_RUNG
#undef HALFTONE_RUNG_ENTRY
