// Counter-based random numbers: the n-th number depends on a key and n alone, so that no thread's
// work moves another's.
#pragma once

#include <cstdint>

namespace halftone::data {

// SplitMix64's increment and output function (Steele, Lea, Flood, "Fast splittable pseudorandom
// number generators", OOPSLA 2014, section 5).
inline constexpr uint64_t kGoldenGamma = 0x9e3779b97f4a7c15u;

constexpr uint64_t mix64(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

// The key of one stream: of example `index` in `epoch`, or of the epoch's order (kOrderStream) and
// what a BatchBuilder makes of it (kArrangeStream).
inline constexpr uint64_t kOrderStream = ~uint64_t{0};
inline constexpr uint64_t kArrangeStream = ~uint64_t{1};

constexpr uint64_t stream_key(uint64_t seed, int64_t epoch, uint64_t index) {
  uint64_t key = mix64(seed + kGoldenGamma);
  key = mix64(key ^ mix64(static_cast<uint64_t>(epoch) + 2 * kGoldenGamma));
  return mix64(key ^ mix64(index + 3 * kGoldenGamma));
}

class CounterRng {
 public:
  explicit constexpr CounterRng(uint64_t key) : state_(key) {}

  constexpr uint64_t next() { return mix64(state_ += kGoldenGamma); }

  // 0 to n - 1; the bias, at most n / 2^64, is left.
  constexpr int64_t below(int64_t n) {
    __extension__ using Wide = unsigned __int128;
    return static_cast<int64_t>((Wide{next()} * static_cast<uint64_t>(n)) >> 64);
  }

  // From `least` up to but not including `most` (where they differ).
  constexpr double between(double least, double most) {
    return least + (most - least) * static_cast<double>(next() >> 11) * 0x1p-53;
  }

 private:
  uint64_t state_;
};

}  // namespace halftone::data
