// One fp32 under the names of vec_avx512.inl.h, for reference rungs that share the other rungs'
// text; behind <cmath> and base/half.h.

#define HALFTONE_RUNG inline
#define HALFTONE_RUNG_ENTRY

using Vec = float;
constexpr std::int64_t kLanes = 1;

HALFTONE_RUNG Vec splat(float value) { return value; }
HALFTONE_RUNG Vec load(const float* p) { return *p; }
HALFTONE_RUNG void store(float* p, Vec value) { *p = value; }
HALFTONE_RUNG Vec load_part(const float* p, std::int64_t count) { return count ? *p : 0; }
HALFTONE_RUNG void store_part(float* p, Vec value, std::int64_t count) {
  if (count) *p = value;
}

HALFTONE_RUNG Vec fmadd(Vec a, Vec b, Vec c) { return std::fma(a, b, c); }
HALFTONE_RUNG Vec fnmadd(Vec a, Vec b, Vec c) { return std::fma(-a, b, c); }
HALFTONE_RUNG Vec square_root(Vec value) { return std::sqrt(value); }
HALFTONE_RUNG Vec smaller(Vec a, Vec b) { return a < b ? a : b; }
HALFTONE_RUNG Vec larger(Vec a, Vec b) { return a > b ? a : b; }
HALFTONE_RUNG Vec absolute(Vec value) { return std::fabs(value); }
HALFTONE_RUNG Vec copy_sign(Vec magnitude, Vec sign) { return std::copysign(magnitude, sign); }
HALFTONE_RUNG Vec round_nearest(Vec value) { return std::nearbyint(value); }
HALFTONE_RUNG Vec scale_by_power(Vec value, Vec exponent) {
  return std::isnan(exponent) ? exponent : std::ldexp(value, static_cast<int>(exponent));
}
HALFTONE_RUNG Vec where_le(Vec a, Vec b, Vec yes, Vec no) { return a <= b ? yes : no; }
HALFTONE_RUNG float reduce_add(Vec value) { return value; }
HALFTONE_RUNG float reduce_max(Vec value) { return value; }

HALFTONE_RUNG Vec load_half(HalfFormat format, const std::uint16_t* p) {
  return half_to_float(format, *p);
}
HALFTONE_RUNG void store_half(HalfFormat format, std::uint16_t* p, Vec value) {
  *p = float_to_half(format, value);
}
HALFTONE_RUNG Vec load_half_part(HalfFormat format, const std::uint16_t* p, std::int64_t count) {
  return count ? load_half(format, p) : 0;
}
HALFTONE_RUNG void store_half_part(HalfFormat format, std::uint16_t* p, Vec value,
                                   std::int64_t count) {
  if (count) store_half(format, p, value);
}
