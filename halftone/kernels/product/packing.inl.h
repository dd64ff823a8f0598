// A product's operands as a rung's Unit takes them. Included by the rungs' files inside their
// anonymous namespace; HALFTONE_RUNG_ENTRY is the rung's target attribute.
//
// Unit: kShape; Element, what `group` halves are packed to; kLanes of them in a vector Vec;
//   kRowStride, elements from row to row of a block of A; kPanel, elements of a panel of B;
//   kMultiple: groups are padded with zeros to a multiple of it
//   begin(), end(): around a task
//   along(p, count): a vector from `count` contiguous k, the rest zero
//   across(p0, p1, count): a vector with one element for each of `count` columns, from the rows of
//     k and k + 1 (p1 unused where group is 1, null: zeros)
//   transpose(Vec[kLanes]), store_a(p, v), store_b(p, v),
//   multiply(rows, a, b, groups, sums, stride, add), write_row(args, i, j, count, sums).
// A block of A lies as rows of elements along k. A block of B lies as panels of `columns`, each as
// rows of elements across the columns.

template <class Unit>
HALFTONE_RUNG_ENTRY void pack_rows_of_a(const ProductArgs& args, std::int64_t m0, std::int64_t mn,
                                        std::int64_t k0, std::int64_t kn,
                                        typename Unit::Element* to, std::uint16_t* scratch) {
  constexpr std::int64_t kStep = Unit::kLanes * Unit::kShape.group;
  for (std::int64_t i = 0; i < mn; ++i, to += Unit::kRowStride) {
    const std::uint16_t* row = args.a.read(args.a, m0 + i, k0, kn, scratch);
    for (std::int64_t k = 0; k < kn; k += kStep) {
      Unit::store_a(to + k / Unit::kShape.group, Unit::along(row + k, std::min(kStep, kn - k)));
    }
  }
}

// Reads kLanes groups of rows [k0 + k, ...) of a k-by-x matrix, `count` elements from x0 each; null
// behind kn.
template <class Unit>
HALFTONE_RUNG_ENTRY void read_groups(const MatrixRows& rows, std::int64_t k0, std::int64_t k,
                                     std::int64_t kn, std::int64_t x0, std::int64_t count,
                                     std::uint16_t* scratch, const std::uint16_t** pointers) {
  constexpr std::int64_t kStep = Unit::kLanes * Unit::kShape.group;
  for (std::int64_t i = 0; i < kStep; ++i) {
    pointers[i] =
        k + i < kn ? rows.read(rows, k0 + k + i, x0, count, scratch + i * count) : nullptr;
  }
}

template <class Unit>
HALFTONE_RUNG_ENTRY void pack_columns_of_a(const ProductArgs& args, std::int64_t m0,
                                           std::int64_t mn, std::int64_t k0, std::int64_t kn,
                                           typename Unit::Element* to, std::uint16_t* scratch) {
  constexpr std::int64_t kGroup = Unit::kShape.group, kLanes = Unit::kLanes;
  const std::uint16_t* rows[kLanes * kGroup];
  for (std::int64_t k = 0; k < kn; k += kLanes * kGroup) {
    read_groups<Unit>(args.a, k0, k, kn, m0, mn, scratch, rows);
    for (std::int64_t i = 0; i < mn; i += kLanes) {
      typename Unit::Vec lanes[kLanes];
      for (std::int64_t l = 0; l < kLanes; ++l) {
        const std::uint16_t* first = rows[l * kGroup];
        const std::uint16_t* second = rows[l * kGroup + kGroup - 1];
        lanes[l] = Unit::across(first ? first + i : nullptr, second ? second + i : nullptr,
                                std::min(kLanes, mn - i));
      }
      Unit::transpose(lanes);
      for (std::int64_t l = 0; l < std::min(kLanes, mn - i); ++l) {
        Unit::store_a(to + (i + l) * Unit::kRowStride + k / kGroup, lanes[l]);
      }
    }
  }
}

template <class Unit>
HALFTONE_RUNG_ENTRY void pack_rows_of_b(const ProductArgs& args, std::int64_t n0, std::int64_t nn,
                                        std::int64_t k0, std::int64_t kn,
                                        typename Unit::Element* to, std::uint16_t* scratch) {
  constexpr std::int64_t kGroup = Unit::kShape.group, kColumns = Unit::kShape.columns;
  const std::int64_t padded = round_up(nn, kColumns);
  const std::int64_t groups = round_up(ceil_div(kn, kGroup), Unit::kMultiple);
  for (std::int64_t k = 0; k < groups * kGroup; k += kGroup) {
    const std::uint16_t* first = k < kn ? args.b.read(args.b, k0 + k, n0, nn, scratch) : nullptr;
    const std::uint16_t* second = nullptr;
    if (kGroup == 2 && k + 1 < kn) {
      second = args.b.read(args.b, k0 + k + 1, n0, nn, scratch + nn);
    }
    auto* row = to + k / kGroup * kColumns;
    for (std::int64_t j = 0; j < padded; j += Unit::kLanes) {
      const std::int64_t count = std::clamp<std::int64_t>(nn - j, 0, Unit::kLanes);
      const auto vector = first && count
                              ? Unit::across(first + j, second ? second + j : nullptr, count)
                              : Unit::across(nullptr, nullptr, 0);
      Unit::store_b(row + j / kColumns * Unit::kPanel + j % kColumns, vector);
    }
  }
}

template <class Unit>
HALFTONE_RUNG_ENTRY void pack_columns_of_b(const ProductArgs& args, std::int64_t n0,
                                           std::int64_t nn, std::int64_t k0, std::int64_t kn,
                                           typename Unit::Element* to, std::uint16_t* scratch) {
  constexpr std::int64_t kGroup = Unit::kShape.group, kColumns = Unit::kShape.columns;
  constexpr std::int64_t kLanes = Unit::kLanes;
  const std::int64_t groups = round_up(ceil_div(kn, kGroup), Unit::kMultiple);
  const std::uint16_t* rows[kLanes];
  for (std::int64_t j = 0; j < round_up(nn, kColumns); j += kLanes) {
    for (std::int64_t l = 0; l < kLanes; ++l) {
      rows[l] = j + l < nn ? args.b.read(args.b, n0 + j + l, k0, kn, scratch + l * kn) : nullptr;
    }
    auto* column = to + j / kColumns * Unit::kPanel + j % kColumns;
    for (std::int64_t g = 0; g < groups; g += kLanes) {
      typename Unit::Vec lanes[kLanes];
      for (std::int64_t l = 0; l < kLanes; ++l) {
        lanes[l] =
            rows[l] ? Unit::along(rows[l] + g * kGroup, std::min(kLanes * kGroup, kn - g * kGroup))
                    : Unit::across(nullptr, nullptr, 0);
      }
      Unit::transpose(lanes);
      for (std::int64_t t = 0; t < std::min(kLanes, groups - g); ++t) {
        Unit::store_b(column + (g + t) * kColumns, lanes[t]);
      }
    }
  }
}

template <class Unit>
void pack_b(const ProductArgs& args, std::int64_t n0, std::int64_t nn, std::int64_t k0,
            std::int64_t kn, typename Unit::Element* to, std::uint16_t* scratch) {
  if (args.b_transposed) return pack_columns_of_b<Unit>(args, n0, nn, k0, kn, to, scratch);
  pack_rows_of_b<Unit>(args, n0, nn, k0, kn, to, scratch);
}
