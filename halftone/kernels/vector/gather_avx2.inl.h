// kLanes floats from places of their own: behind vec_avx2.inl.h.

HALFTONE_RUNG Vec gather(const float* base, const std::int32_t* places) {
  return _mm256_i32gather_ps(base, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(places)), 4);
}
