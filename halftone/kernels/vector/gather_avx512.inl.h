// kLanes floats from places of their own: behind vec_avx512.inl.h.

HALFTONE_RUNG Vec gather(const float* base, const std::int32_t* places) {
  return _mm512_i32gather_ps(_mm512_loadu_si512(places), base, 4);
}
