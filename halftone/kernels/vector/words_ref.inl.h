// One signed 16-bit word: names and contract of words_avx512.inl.h, behind vec_ref.inl.h.

using Words = std::int16_t;
constexpr std::int64_t kWords = 1;

HALFTONE_RUNG Words splat_words(std::int16_t value) { return value; }
HALFTONE_RUNG Words load_words(const std::uint16_t* p) { return static_cast<Words>(*p); }
HALFTONE_RUNG void store_words(std::uint16_t* p, Words value) {
  *p = static_cast<std::uint16_t>(value);
}

HALFTONE_RUNG Words words_where_gt(Words a, Words b, Words yes) {
  return a > b ? yes : std::int16_t{0};
}
HALFTONE_RUNG Words words_where_any(Words a, Words yes) { return a != 0 ? yes : std::int16_t{0}; }
