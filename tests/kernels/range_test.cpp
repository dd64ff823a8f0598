#include "halftone/kernels/range/range.h"

#include <limits>
#include <random>
#include <vector>

#include "tests/support/rungs.h"
#include "tests/support/test.h"

namespace halftone::kernels {
namespace {

constexpr Element kRangeElements[] = {Element::fp32, Element::fp16, Element::bf16};
constexpr float kRangeInf = std::numeric_limits<float>::infinity();

// Elements of any format in one buffer, one element past an aligned address.
class Values {
 public:
  Values(Element format, std::int64_t length)
      : format_(format), bytes_(static_cast<std::size_t>((length + 1) * 4)), length_(length) {}

  void* data() { return bytes_.data() + element_size(format_); }
  void set(std::int64_t index, float value) { set_element(format_, data(), index, value); }
  float get(std::int64_t index) { return element_value(format_, data(), index); }

  ValueRange found() {
    ValueRange result{};
    range({format_, data(), length_, &result});
    return result;
  }

  ValueRange expected() {
    ValueRange result{kRangeInf, -kRangeInf, 0, 0, 0, 0};
    for (std::int64_t i = 0; i < length_; ++i) {
      const float value = get(i);
      result.zeros += value == 0;
      result.nans += value != value;
      result.positive_infinities += value == kRangeInf;
      result.negative_infinities += value == -kRangeInf;
      if (!(std::abs(value) < kRangeInf)) continue;
      result.low = std::min(result.low, value);
      result.high = std::max(result.high, value);
    }
    return result;
  }

 private:
  Element format_;
  std::vector<char> bytes_;
  std::int64_t length_;
};

void expect_same(const ValueRange& found, const ValueRange& expected, const std::string& where) {
  EXPECT_EQ(found.low, expected.low) << where;
  EXPECT_EQ(found.high, expected.high) << where;
  EXPECT_EQ(found.zeros, expected.zeros) << where;
  EXPECT_EQ(found.nans, expected.nans) << where;
  EXPECT_EQ(found.positive_infinities, expected.positive_infinities) << where;
  EXPECT_EQ(found.negative_infinities, expected.negative_infinities) << where;
}

TEST(Range, CountsWhatALoopCountsOnEveryRungFormatAndLength) {
  const float special[] = {0.0f, -0.0f, kRangeInf, -kRangeInf,
                           std::numeric_limits<float>::quiet_NaN()};
  for_each_rung(range_ladder(), [&](Isa rung) {
    for (Element format : kRangeElements) {
      for (std::int64_t length :
           {0, 1, 2, 7, 8, 15, 16, 17, 33, 100, 65535, 65536, 65537, 200000}) {
        std::mt19937 random(static_cast<unsigned>(length));
        std::normal_distribution<float> normal(1.0f, 100.0f);
        Values values(format, length);
        for (std::int64_t i = 0; i < length; ++i) values.set(i, normal(random));
        const std::string where = std::string(isa_name(rung)) + " length " + std::to_string(length);
        expect_same(values.found(), values.expected(), where);
        for (std::int64_t i = 0; i < length; i += 5)
          values.set(i, special[static_cast<std::size_t>(i / 5 % 5)]);
        expect_same(values.found(), values.expected(), where + ", special values");
      }
    }
  });
}

TEST(Range, EveryHalfIsClassedRight) {
  for_each_rung(range_ladder(), [](Isa rung) {
    for (HalfFormat format : {HalfFormat::fp16, HalfFormat::bf16}) {
      std::vector<std::uint16_t> all(65536);
      for (int i = 0; i < 65536; ++i) all[i] = static_cast<std::uint16_t>(i);
      ValueRange found{};
      range({element_of(format), all.data(), 65536, &found});
      const float largest = half_to_float(format, format == HalfFormat::fp16 ? 0x7bff : 0x7f7f);
      const int nans = format == HalfFormat::fp16 ? 2 * 1023 : 2 * 127;
      expect_same(found, {-largest, largest, 2, nans, 1, 1}, isa_name(rung));
    }
  });
}

TEST(Range, NothingFiniteHasAnEmptyRange) {
  for_each_rung(range_ladder(), [](Isa rung) {
    std::vector<float> values(40, kRangeInf);
    ValueRange found{};
    range({Element::fp32, values.data(), 40, &found});
    expect_same(found, {kRangeInf, -kRangeInf, 0, 0, 40, 0}, isa_name(rung));
  });
}

}  // namespace
}  // namespace halftone::kernels
