// Functions of a Vec, once for all rungs: behind the text of one of vec_*.inl.h.

// e^x within 2 ulp, subnormal results included; 0 below -104, infinity above 88.73, NaN for NaN.
// x = n ln 2 + r with |r| <= ln 2 / 2 (Cody and Waite's two constants; n * high is exact), e^r by
// the degree-6 polynomial of Moshier's Cephes (expf.c; 2^-26 relative).
HALFTONE_RUNG Vec exponential(Vec x) {
  constexpr float kLowest = -104.0f, kHighest = 89.0f;  // beyond: 0, infinity
  x = smaller(splat(kHighest), larger(splat(kLowest), x));
  const Vec n = round_nearest(x * splat(1.44269504088896341f));
  Vec r = fnmadd(n, splat(0.693359375f), x);
  r = fnmadd(n, splat(-2.12194440e-4f), r);
  Vec p = splat(1.9875691500e-4f);
  p = fmadd(p, r, splat(1.3981999507e-3f));
  p = fmadd(p, r, splat(8.3334519073e-3f));
  p = fmadd(p, r, splat(4.1665795894e-2f));
  p = fmadd(p, r, splat(1.6666665459e-1f));
  p = fmadd(p, r, splat(5.0000001201e-1f));
  p = fmadd(p, r * r, r) + splat(1.0f);
  return scale_by_power(p, n);
}
