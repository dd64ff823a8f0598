// The rounding and its loops, once for all rungs, behind vector/vec_*.inl.h, vector/bits_*.inl.h
// and draws(). No guard: the text is compiled once per rung.

// Elements that one task should handle at least: some 10 us.
constexpr std::int64_t kQuantizeGrain = 32768;

// A vector of numbers in steps of the format: sign, count of steps and binade.
struct Steps {
  Vec magnitude;  // as given, without its sign; may be NaN
  Bits sign;
  Bits count;
  Bits exponent;  // the binade's field, at least that of the smallest normal number
  Vec rounded;    // count steps, without regard to overflow and NaN
};

// To nearest even by the adder: next to 2^23 steps, floats are a step apart.
HALFTONE_RUNG void count_nearest(const Grid& grid, Vec cut, Steps& steps) {
  const Bits large = plus(steps.exponent, splat_bits(grid.large));
  const Vec sum = cut + vec_of(large);
  steps.count = minus(bits_of(sum), large);
  steps.rounded = sum - vec_of(large);
}

// In fixed point with fraction_bits of a step, to which as many random bits are added.
HALFTONE_RUNG void count_stochastic(const Grid& grid, Vec cut, Bits random, Steps& steps) {
  const Vec fixed = cut * vec_of(minus(splat_bits(grid.inverse), steps.exponent));
  const Bits fraction = shift_right(random, 32 - grid.fraction_bits);
  steps.count = shift_right(plus(truncated_int(fixed), fraction), grid.fraction_bits);
  steps.rounded = from_int(steps.count) * vec_of(minus(steps.exponent, splat_bits(grid.mantissa)));
}

template <bool stochastic>
HALFTONE_RUNG Steps steps_of(const Grid& grid, Vec value, std::uint64_t key, std::int64_t element) {
  Steps steps;
  const Bits bits = bits_of(value);
  steps.sign = bit_and(bits, splat_bits(0x80000000u));
  steps.magnitude = vec_of(bit_xor(bits, steps.sign));
  const Vec cut = smaller(steps.magnitude, splat(grid.limit));  // NaN: the limit
  steps.exponent =
      larger_signed(bit_and(bits_of(cut), splat_bits(0x7f800000u)), splat_bits(grid.lowest));
  if constexpr (stochastic) {
    count_stochastic(grid, cut, draws(key, static_cast<std::uint32_t>(element)), steps);
  } else {
    count_nearest(grid, cut, steps);
  }
  return steps;
}

// A number instead of its steps' where they overflow.
HALFTONE_RUNG Vec bounded(const Grid& grid, const Steps& steps) {
  const Vec largest = splat(grid.largest);
  if (grid.saturates) return smaller(steps.rounded, largest);
  return where_le(steps.rounded, largest, steps.rounded, splat(grid.overflow));
}

HALFTONE_RUNG Vec unless_nan(const Grid& grid, const Steps& steps, Vec value) {
  return where_le(steps.magnitude, vec_of(splat_bits(0x7f800000u)), value, splat(grid.nan));
}

// None for zero and NaN where the format has them without one.
HALFTONE_RUNG Bits sign_of(const Grid& grid, const Steps& steps) {
  if (grid.signed_zero) return steps.sign;
  constexpr float kSmallestStep = 0x1p-126f;
  const Vec magnitude = unless_nan(grid, steps, bounded(grid, steps));
  return bits_where_le(splat(kSmallestStep), magnitude, steps.sign, splat_bits(0));
}

HALFTONE_RUNG Vec value_of(const Grid& grid, const Steps& steps) {
  const Vec magnitude = bounded(grid, steps);
  if (grid.signed_zero || !grid.saturates) {
    const Vec unsigned_value = unless_nan(grid, steps, magnitude);
    return vec_of(bit_xor(bits_of(unsigned_value), sign_of(grid, steps)));
  }
  // The same with fewer instructions: -0 + 0 is 0, and NaN comes after the sign.
  return unless_nan(grid, steps, vec_of(bit_xor(bits_of(magnitude), steps.sign)) + splat(0));
}

HALFTONE_RUNG Bits code_of(const Grid& grid, const Steps& steps) {
  const Bits binades = minus(steps.exponent, splat_bits(grid.lowest));
  Bits code = plus(steps.count, shift_right(binades, grid.code_shift));
  code = bits_where_le(steps.rounded, splat(grid.largest), code, splat_bits(grid.overflow_code));
  code = bits_where_le(steps.magnitude, vec_of(splat_bits(0x7f800000u)), code,
                       splat_bits(grid.nan_code));
  const Bits negative = spread_sign(sign_of(grid, steps));
  const Bits complement = bit_and(negative, splat_bits(grid.complement));
  code = bit_xor(code, bit_and(negative, splat_bits(grid.sign_bit | grid.complement)));
  return minus(code, complement);
}

template <Element element>
HALFTONE_RUNG Vec load_elements(const void* data, std::int64_t i, std::int64_t count) {
  if constexpr (element == Element::fp32) {
    const float* p = static_cast<const float*>(data) + i;
    return count == kLanes ? load(p) : load_part(p, count);
  } else {
    const auto* p = static_cast<const std::uint16_t*>(data) + i;
    constexpr HalfFormat format = half_format(element);
    return count == kLanes ? load_half(format, p) : load_half_part(format, p, count);
  }
}

template <Element element>
HALFTONE_RUNG void store_elements(void* data, std::int64_t i, Vec value, std::int64_t count) {
  if constexpr (element == Element::fp32) {
    float* p = static_cast<float*>(data) + i;
    count == kLanes ? store(p, value) : store_part(p, value, count);
  } else {
    auto* p = static_cast<std::uint16_t*>(data) + i;
    constexpr HalfFormat format = half_format(element);
    count == kLanes ? store_half(format, p, value) : store_half_part(format, p, value, count);
  }
}

HALFTONE_RUNG void store_codes(void* data, std::int64_t i, Bits codes, std::int64_t count) {
  auto* p = static_cast<std::uint8_t*>(data) + i;
  count == kLanes ? store_bytes(p, codes) : store_bytes_part(p, codes, count);
}

// Of one vector: elements i to i + count.
template <Element element, bool stochastic, bool codes>
HALFTONE_RUNG void round_vector(const Grid& grid, const QuantizeArgs& args, std::int64_t i,
                                std::int64_t count, Vec scale, Vec inverse) {
  const Vec value = load_elements<element>(args.input, i, count) * inverse;
  const Steps steps = steps_of<stochastic>(grid, value, args.key, i);
  if constexpr (codes) {
    store_codes(args.output, i, code_of(grid, steps), count);
  } else {
    store_elements<element>(args.output, i, value_of(grid, steps) * scale, count);
  }
}

// Elements i to i + 2 kLanes, to nearest.
HALFTONE_RUNG void round_bf16_pairs(const Grid& grid, const QuantizeArgs& args, std::int64_t i,
                                    Vec scale, Vec inverse) {
  constexpr std::uint64_t kNoKey = 0;
  Vec even, odd;
  load_bf16_pairs(static_cast<const std::uint16_t*>(args.input) + i, even, odd);
  even = value_of(grid, steps_of<false>(grid, even * inverse, kNoKey, i)) * scale;
  odd = value_of(grid, steps_of<false>(grid, odd * inverse, kNoKey, i)) * scale;
  store_bf16_pairs(static_cast<std::uint16_t*>(args.output) + i, even, odd);
}

// Elements begin to end. A stretch of them has one scale, or one each.
template <Element element, bool stochastic, bool codes>
HALFTONE_RUNG_ENTRY void round_range(const Grid& given_grid, const QuantizeArgs& given,
                                     std::int64_t begin, std::int64_t end) {
  const Grid grid = given_grid;
  const QuantizeArgs args = given;
  const bool each = args.scale_inner == 1 && args.scale_count > 1;
  const std::int64_t stretch = each ? args.scale_count : args.scale_inner;
  while (begin < end) {
    std::int64_t stop = args.scale_count == 1 ? end : (begin / stretch + 1) * stretch;
    if (stop > end) stop = end;
    const float* scales =
        args.scales + (each ? begin % stretch : begin / args.scale_inner % args.scale_count);
    Vec scale = splat(*scales), inverse = splat(1) / scale;
    std::int64_t i = begin;
    if constexpr (element == Element::bf16 && !stochastic && !codes) {
      for (; !each && i + 2 * kLanes <= stop; i += 2 * kLanes) {
        round_bf16_pairs(grid, args, i, scale, inverse);
      }
    }
    for (; i + kLanes <= stop; i += kLanes) {
      if (each) {
        scale = load(scales + (i - begin));
        inverse = splat(1) / scale;
      }
      round_vector<element, stochastic, codes>(grid, args, i, kLanes, scale, inverse);
    }
    if (i < stop) {
      if (each) {
        scale = load_part(scales + (i - begin), stop - i);
        inverse = splat(1) / scale;
      }
      round_vector<element, stochastic, codes>(grid, args, i, stop - i, scale, inverse);
    }
    begin = stop;
  }
}

// One block of `count` elements from i on; returns its scale's code.
template <Element element, bool stochastic, bool codes>
HALFTONE_RUNG std::uint8_t round_block(const Grid& grid, const BlockQuantizeArgs& args,
                                       std::int64_t i, std::int64_t count) {
  Bits peak = splat_bits(0);
  for (std::int64_t k = 0; k < count; k += kLanes) {
    const std::int64_t lanes = count - k < kLanes ? count - k : kLanes;
    const Bits bits = bits_of(load_elements<element>(args.input, i + k, lanes));
    peak = larger_signed(peak, bit_and(bits, splat_bits(0x7fffffffu)));
  }
  peak = largest_signed(peak);
  constexpr std::uint32_t kSmallestPower = 0x00400000u;  // 2^-127, an fp32 without exponent bits
  const Bits field =
      larger_signed(minus(bit_and(peak, splat_bits(0x7f800000u)), splat_bits(grid.block_exponent)),
                    splat_bits(0));
  const Vec scale = vec_of(larger_signed(field, splat_bits(kSmallestPower)));
  const Vec inverse =
      vec_of(larger_signed(minus(splat_bits(254u << 23), field), splat_bits(kSmallestPower)));
  const Vec largest = vec_of(splat_bits(0x7f7fffffu)), nan = vec_of(splat_bits(0x7fc00000u));
  for (std::int64_t k = 0; k < count; k += kLanes) {
    const std::int64_t lanes = count - k < kLanes ? count - k : kLanes;
    const Vec value = load_elements<element>(args.input, i + k, lanes) * inverse;
    const Steps steps = steps_of<stochastic>(grid, value, args.key, i + k);
    if constexpr (codes) {
      const Bits code = bits_where_le(vec_of(peak), largest, code_of(grid, steps), splat_bits(0));
      store_codes(args.output, i + k, code, lanes);
    } else {
      const Vec rounded = value_of(grid, steps) * scale;
      store_elements<element>(args.output, i + k, where_le(vec_of(peak), largest, rounded, nan),
                              lanes);
    }
  }
  constexpr std::uint32_t kInfinityField = 0x7f800000u;
  if (first_lane(peak) >= kInfinityField) return 0xff;
  return static_cast<std::uint8_t>(first_lane(field) >> 23);
}

// Blocks begin to end of all rows'.
template <Element element, bool stochastic, bool codes>
HALFTONE_RUNG_ENTRY void round_blocks(const Grid& given_grid, const BlockQuantizeArgs& given,
                                      std::int64_t begin, std::int64_t end) {
  const Grid grid = given_grid;
  const BlockQuantizeArgs args = given;
  const std::int64_t per_row = scale_blocks(args.columns);
  for (std::int64_t block = begin; block < end; ++block) {
    const std::int64_t column = block % per_row * kScaleBlock;
    const std::int64_t left = args.columns - column;
    const std::int64_t i = block / per_row * args.columns + column;
    const std::uint8_t scale =
        left < kScaleBlock ? round_block<element, stochastic, codes>(grid, args, i, left)
                           : round_block<element, stochastic, codes>(grid, args, i, kScaleBlock);
    if constexpr (codes) args.scales[block] = scale;
  }
}

// Calls f<element, stochastic>() for the format and rounding of args.
template <class Args, class F>
void for_element_and_rounding(const Args& args, F&& f) {
  const auto with_element = [&]<Element element>() {
    if (args.rounding == Rounding::stochastic) {
      f.template operator()<element, true>();
    } else {
      f.template operator()<element, false>();
    }
  };
  switch (args.element) {
    case Element::fp32:
      return with_element.template operator()<Element::fp32>();
    case Element::fp16:
      return with_element.template operator()<Element::fp16>();
    case Element::bf16:
      return with_element.template operator()<Element::bf16>();
  }
}

template <bool codes>
void round_all(const QuantizeArgs& args) {
  const Grid grid = make_grid(args.format, args.overflow);
  for_element_and_rounding(args, [&]<Element element, bool stochastic>() {
    parallel_for(0, args.length, kQuantizeGrain, [&](std::int64_t begin, std::int64_t end) {
      round_range<element, stochastic, codes>(grid, args, begin, end);
    });
  });
}

template <bool codes>
void round_all_blocks(const BlockQuantizeArgs& args) {
  const Grid grid = make_grid(args.format, Overflow::saturate);
  for_element_and_rounding(args, [&]<Element element, bool stochastic>() {
    parallel_for(0, args.rows * scale_blocks(args.columns), kQuantizeGrain / kScaleBlock,
                 [&](std::int64_t begin, std::int64_t end) {
                   round_blocks<element, stochastic, codes>(grid, args, begin, end);
                 });
  });
}

#undef HALFTONE_RUNG
#undef HALFTONE_RUNG_ENTRY
