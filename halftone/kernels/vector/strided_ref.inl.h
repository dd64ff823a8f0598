// Every second element: behind vec_ref.inl.h. load_half_even reads p[0], p[2], ... of 2 kLanes
// halves, load_even the same of floats; store_half_pairs writes even[0], odd[0], even[1], ...

HALFTONE_RUNG Vec load_half_even(HalfFormat format, const std::uint16_t* p) {
  return load_half(format, p);
}
HALFTONE_RUNG Vec load_even(const float* p) { return *p; }
HALFTONE_RUNG void store_half_pairs(HalfFormat format, std::uint16_t* p, Vec even, Vec odd) {
  store_half(format, p, even);
  store_half(format, p + 1, odd);
}
