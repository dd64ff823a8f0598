// Stochastic rounding to half, its random bits, and the scale of Kahan's term. Scalar: what the
// vector rungs do lane by lane.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "halftone/base/half.h"
#include "halftone/kernels/element.h"
#include "halftone/kernels/optimizer/optimizer.h"

namespace halftone::kernels {

// What rounding a weight loses is at most half an ulp of it. fp16 would flush that to zero for
// weights below 2^-3 or so; times 2^11 it stays at or below the weight, so that it neither
// underflows before the weight does nor overflows. bf16 has fp32's exponents and needs no scale.
constexpr float kahan_scale(Element format) { return format == Element::fp16 ? 0x1p11f : 1.0f; }

// Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014), mix64.
constexpr std::uint64_t mix64(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

// The key of one parameter's draws at one step.
constexpr std::uint64_t draw_key(std::uint64_t seed, std::uint64_t parameter, std::uint64_t step) {
  return mix64(mix64(mix64(seed) ^ parameter) ^ step);
}

// The key of the 2^32 elements that element's upper half counts; blocks never straddle two.
constexpr std::uint64_t range_key(std::uint64_t key, std::int64_t element) {
  return key ^ mix64(static_cast<std::uint64_t>(element) >> 32);
}

// A bijection of 32 bits with avalanche bias below 0.2 % (Wellons, hash-prospector, lowbias32).
constexpr std::uint32_t hash32(std::uint32_t x) {
  x ^= x >> 16;
  x *= 0x7feb352du;
  x ^= x >> 15;
  x *= 0x846ca68bu;
  return x ^ (x >> 16);
}

// 32 random bits for an element: a counter hashed twice, with a word of the key before each.
constexpr std::uint32_t draw(std::uint64_t key, std::uint32_t element) {
  return hash32(hash32(element ^ static_cast<std::uint32_t>(key)) ^
                static_cast<std::uint32_t>(key >> 32));
}

// Rounds up in magnitude with a probability that equals the fraction dropped, exactly: the upper 16
// random bits carry into the 16 bits kept.
inline std::uint16_t stochastic_bf16(float value, std::uint32_t random) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fc0;
  return static_cast<std::uint16_t>((bits + (random >> 16)) >> 16);
}

// The same with 13 bits dropped. Below 2^-14, where fp16's spacing is fixed at 2^-24, 21 fraction
// bits in fixed point: exact for what is a multiple of 2^-45, which every fp32 above 2^-22 is.
inline std::uint16_t stochastic_fp16(float value, std::uint32_t random) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude >= 0x7f800000u) return float_to_fp16(value);
  if (magnitude >= 0x38800000u) {
    return float_to_fp16(std::bit_cast<float>((bits + (random >> 19)) & ~0x1fffu));
  }
  const auto fixed = static_cast<std::uint32_t>(std::bit_cast<float>(magnitude) * 0x1p45f);
  return static_cast<std::uint16_t>(((bits >> 16) & 0x8000u) | ((fixed + (random >> 11)) >> 21));
}

inline std::uint16_t stochastic_half(HalfFormat format, float value, std::uint32_t random) {
  return format == HalfFormat::fp16 ? stochastic_fp16(value, random)
                                    : stochastic_bf16(value, random);
}

}  // namespace halftone::kernels
