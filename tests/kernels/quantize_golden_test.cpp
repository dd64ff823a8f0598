// Bit for bit what ml_dtypes makes of the same numbers: tests/goldens/quantize.py says what the
// columns of quantize.txt are.
#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "halftone/base/file.h"
#include "halftone/kernels/optimizer/rounding.h"
#include "halftone/kernels/quantize/quantize.h"
#include "tests/support/rungs.h"
#include "tests/support/test.h"

namespace halftone::kernels {
namespace {

constexpr std::int64_t kRandom = 10'000'000;
constexpr std::int64_t kChunk = 20'000;  // below two tasks: a parallel region each would cost more
constexpr std::int64_t kGridRows = 1000, kGridColumns = 1000;
constexpr float kOne = 1, kFixedScale = 0.037f;

struct GoldenFormat {
  const char* name;
  NumberFormat format;
  int smallest, largest;  // exponents of the smallest and the largest normal number
};
const GoldenFormat kMinifloats[] = {
    {"e4m3fn", kE4M3Fn, -6, 8},     {"e4m3", kE4M3, -6, 7},
    {"e4m3fnuz", kE4M3Fnuz, -7, 7}, {"e4m3b11fnuz", kE4M3B11Fnuz, -10, 4},
    {"e5m2", kE5M2, -14, 15},       {"e5m2fnuz", kE5M2Fnuz, -15, 15},
    {"e3m4", kE3M4, -2, 3},         {"e2m3fn", kE2M3Fn, 0, 2},
    {"e3m2fn", kE3M2Fn, -2, 4},     {"e2m1fn", kE2M1Fn, 0, 2},
};
const std::pair<const char*, NumberFormat> kBlockFormats[] = {{"mxfp8-e4m3", kE4M3Fn},
                                                              {"mxfp8-e5m2", kE5M2},
                                                              {"mxfp6-e2m3", kE2M3Fn},
                                                              {"mxfp6-e3m2", kE3M2Fn},
                                                              {"mxfp4-e2m1", kE2M1Fn}};

using Hashes = std::map<std::string, std::uint64_t>;

Hashes golden(const std::string& name) {
  std::istringstream lines(read_file(HALFTONE_SOURCE_DIR "/tests/goldens/quantize.txt"));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string first, key, value;
    words >> first;
    if (first != name) continue;
    Hashes hashes;
    while (words >> key >> value) hashes[key] = std::stoull(value, nullptr, 16);
    return hashes;
  }
  ADD_FAILURE() << "no golden of " << name;
  return {};
}

template <class Word>
std::uint64_t hash_words(const std::vector<Word>& words, std::int64_t start = 0) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::uint64_t word = 0;
    if constexpr (std::is_same_v<Word, float>) {
      word = std::bit_cast<std::uint32_t>(words[i]);
    } else {
      word = words[i];
    }
    sum += mix64((static_cast<std::uint64_t>(start) + i) << 32 | word);
  }
  return sum;
}

float random_value(std::uint64_t i, int low, int high) {
  const std::uint64_t h = mix64(i);
  if (i % 2 == 0) return std::bit_cast<float>(static_cast<std::uint32_t>(h >> 32));
  const std::uint64_t exponent = low + 127 + (h >> 1 & 0xffff) % (high - low + 1);
  const std::uint64_t cut = std::min<std::uint64_t>(h >> 17 & 31, 23);
  const std::uint64_t bits = (h & 1) << 31 | exponent << 23 | (h >> 41) >> cut << cut;
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits));
}

float block_value(std::uint64_t i) {
  const std::uint64_t h = mix64(i), base = mix64((i >> 5) + (std::uint64_t{1} << 40)) % 250;
  if ((h >> 20 & 4095) == 0) return std::bit_cast<float>(static_cast<std::uint32_t>(h >> 32));
  const std::uint64_t exponent = std::min<std::uint64_t>(base + (h >> 1) % 12, 254);
  return std::bit_cast<float>(static_cast<std::uint32_t>((h & 1) << 31 | exponent << 23 | h >> 41));
}

std::vector<float> random_chunk(std::int64_t start, int low, int high) {
  std::vector<float> x(kChunk);
  for (std::int64_t i = 0; i < kChunk; ++i) x[i] = random_value(start + i, low, high);
  return x;
}

QuantizeArgs plain_args(const NumberFormat& format, Element element, std::size_t length,
                        const void* input, void* output) {
  return {format,
          Rounding::nearest_even,
          Overflow::special,
          element,
          static_cast<std::int64_t>(length),
          &kOne,
          1,
          1,
          0,
          input,
          output};
}

std::vector<std::uint8_t> codes_of(const NumberFormat& format, const std::vector<float>& x,
                                   Overflow overflow, float scale = 1) {
  std::vector<std::uint8_t> codes(x.size());
  QuantizeArgs args = plain_args(format, Element::fp32, x.size(), x.data(), codes.data());
  args.overflow = overflow;
  args.scales = &scale;
  quantize(args);
  return codes;
}

std::vector<float> values_of(const NumberFormat& format, const std::vector<std::uint8_t>& codes) {
  std::vector<float> values(codes.size());
  dequantize(
      {format, static_cast<std::int64_t>(codes.size()), &kOne, 1, 1, codes.data(), values.data()});
  return values;
}

TEST(QuantizeGolden, EveryCodeMeansWhatMlDtypesSays) {
  for (const GoldenFormat& each : kMinifloats) {
    const int bits = 1 + each.format.exponent_bits + each.format.mantissa_bits;
    std::vector<std::uint8_t> codes(std::size_t{1} << bits);
    for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<std::uint8_t>(i);
    EXPECT_EQ(hash_words(values_of(each.format, codes)), golden(each.name)["decode"]) << each.name;
  }
  std::vector<float> powers(256);
  for (int i = 0; i < 256; ++i) powers[i] = decoded_e8m0(static_cast<std::uint8_t>(i));
  EXPECT_EQ(hash_words(powers), golden("e8m0")["decode"]);
}

TEST(QuantizeGolden, EveryHalfGetsTheCodeThatMlDtypesGivesIt) {
  std::vector<std::uint16_t> halves(65536);
  for (int i = 0; i < 65536; ++i) halves[i] = static_cast<std::uint16_t>(i);
  for_each_rung(quantize_ladder(), [&](Isa rung) {
    for (const GoldenFormat& each : kMinifloats) {
      Hashes expected = golden(each.name);
      for (Element element : {Element::fp16, Element::bf16}) {
        std::vector<std::uint8_t> codes(halves.size());
        std::vector<std::uint16_t> back(halves.size());
        quantize(plain_args(each.format, element, halves.size(), halves.data(), codes.data()));
        quantize_dequantize(
            plain_args(each.format, element, halves.size(), halves.data(), back.data()));
        const bool fp16 = element == Element::fp16;
        EXPECT_EQ(hash_words(codes), expected[fp16 ? "fp16" : "bf16"])
            << each.name << " " << isa_name(rung);
        if (fp16) {
          EXPECT_EQ(hash_words(back), expected["fp16-back"]) << each.name << " " << isa_name(rung);
        }
        const std::vector<float> values = values_of(each.format, codes);
        for (std::size_t i = 0; i < halves.size(); ++i) {
          ASSERT_EQ(back[i], float_to_half(half_format(element), values[i]))
              << each.name << " " << isa_name(rung) << " " << i;
        }
      }
    }
  });
}

struct Rounded {
  std::vector<std::uint8_t> codes, saturated;
  std::vector<std::uint32_t> back;
  bool operator==(const Rounded&) const = default;
};

Rounded rounded(const NumberFormat& format, const std::vector<float>& x) {
  Rounded result{codes_of(format, x, Overflow::special), codes_of(format, x, Overflow::saturate),
                 std::vector<std::uint32_t>(x.size())};
  quantize_dequantize(plain_args(format, Element::fp32, x.size(), x.data(), result.back.data()));
  return result;
}

TEST(QuantizeGolden, TenMillionRandomNumbersRoundAsMlDtypesRoundsThem) {
  for (const GoldenFormat& each : kMinifloats) {
    const int low = each.smallest - each.format.mantissa_bits - 2, high = each.largest + 2;
    Hashes found;
    for (std::int64_t start = 0; start < kRandom; start += kChunk) {
      const std::vector<float> x = random_chunk(start, low, high);
      set_isa(machine_isas().back());
      const Rounded best = rounded(each.format, x);
      for_each_rung(quantize_ladder(), [&](Isa rung) {
        ASSERT_TRUE(rounded(each.format, x) == best) << each.name << " " << isa_name(rung);
      });
      found["random"] += hash_words(best.codes, start);
      found["saturated"] += hash_words(best.saturated, start);
      found["back"] += hash_words(best.back, start);
    }
    Hashes expected = golden(each.name);
    for (const auto& [key, hash] : found) EXPECT_EQ(hash, expected[key]) << each.name << " " << key;
  }
}

TEST(QuantizeGolden, FixedPointRoundsAsNumpyDoes) {
  for (int bits : {8, 4, 2}) {
    const std::string name = "int" + std::to_string(bits);
    std::map<Isa, std::uint64_t> found;
    for (std::int64_t start = 0; start < kRandom; start += kChunk) {
      const std::vector<float> x = random_chunk(start, -6, 4);
      for_each_rung(quantize_ladder(), [&](Isa rung) {
        found[rung] +=
            hash_words(codes_of(fixed_point(bits), x, Overflow::saturate, kFixedScale), start);
      });
    }
    for (const auto& [rung, hash] : found) {
      EXPECT_EQ(hash, golden(name)["random"]) << name << " " << isa_name(rung);
    }
  }
}

TEST(QuantizeGolden, BlocksAreThoseOfTheMicroscalingStandard) {
  std::vector<float> x(kGridRows * kGridColumns);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = block_value(i);
  for (const auto& [name, format] : kBlockFormats) {
    Hashes expected = golden(name);
    std::vector<float> fake(x.size()), back(x.size());
    std::vector<std::uint8_t> codes(x.size()), scales(kGridRows * scale_blocks(kGridColumns));
    BlockQuantizeArgs args{format,    Rounding::nearest_even, Element::fp32,
                           kGridRows, kGridColumns,           0,
                           x.data(),  codes.data(),           scales.data()};
    for_each_rung(quantize_blocks_ladder(), [&](Isa rung) {
      args.output = codes.data();
      quantize_blocks(args);
      EXPECT_EQ(hash_words(codes), expected["codes"]) << name << " " << isa_name(rung);
      EXPECT_EQ(hash_words(scales), expected["scales"]) << name << " " << isa_name(rung);
      dequantize_blocks(
          {format, kGridRows, kGridColumns, codes.data(), scales.data(), back.data()});
      EXPECT_EQ(hash_words(back), expected["back"]) << name << " " << isa_name(rung);
      args.output = fake.data();
      quantize_dequantize_blocks(args);
      EXPECT_EQ(hash_words(fake), expected["back"]) << name << " " << isa_name(rung);
    });
  }
}

}  // namespace
}  // namespace halftone::kernels
