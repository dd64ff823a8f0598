// What attention's two passes share: the product's units over blocks of a head, masks, rows of
// halves. Included behind product/packing.inl.h and vector/math.inl.h.
//
// The product's loops (product/engine.inl.h) aren't used: they pack both operands for every call
// and write whole rows of C, where attention keeps packed blocks for several products and works on
// the sums of a block before they are anything's operand. Units and packing are the product's.

// Widest block along k that every unit multiplies at once.
constexpr std::int64_t kWidest = kWidestHead;

template <class Unit>
constexpr std::int64_t padded_groups(std::int64_t k) {
  return round_up(ceil_div(k, Unit::kShape.group), Unit::kMultiple);
}

// Of a panel of B with room for `k` instead of a whole chunk.
template <class Unit>
constexpr std::int64_t panel_size(std::int64_t k) {
  return Unit::kPanel - (Unit::kShape.chunk - padded_groups<Unit>(k)) * Unit::kShape.columns;
}

template <class Unit>
constexpr std::int64_t panels_size(std::int64_t n, std::int64_t k) {
  return ceil_div(n, Unit::kShape.columns) * panel_size<Unit>(k);
}

template <class Unit>
constexpr std::int64_t rows_size(std::int64_t m) {
  return round_up(m, Unit::kShape.rows) * Unit::kRowStride;
}

// From row to row of a block of sums, `n` columns wide: no two at the same address modulo 4 KB.
template <class Unit>
constexpr std::int64_t sums_row(std::int64_t n) {
  return round_up(n, Unit::kShape.columns) + 16;
}

template <class Unit>
constexpr std::int64_t sums_size(std::int64_t m, std::int64_t n) {
  return round_up(m, Unit::kShape.rows) * sums_row<Unit>(n);
}

// Blocks of nearly the same size, at most `most`, which is a multiple of `step`.
constexpr std::int64_t even_block(std::int64_t n, std::int64_t most, std::int64_t step) {
  return n ? round_up(ceil_div(n, ceil_div(n, most)), step) : step;
}

// Deals out one allocation, or counts what it has to hold.
class Carver {
 public:
  explicit Carver(void* base) : base_(static_cast<char*>(base)) {}
  template <class T>
  T* take(std::int64_t count) {
    char* at = base_ ? base_ + used_ : nullptr;
    used_ += round_up(count * std::int64_t{sizeof(T)}, 64);
    return reinterpret_cast<T*>(at);
  }
  std::int64_t used() const { return used_; }

 private:
  char* base_;
  std::int64_t used_ = 0;
};

// Buffers: constructible from Args..., Carver&.
template <class Buffers, class Plan>
Buffers carve(WorkspaceSlot slot, const Plan& plan) {
  Carver count(nullptr);
  static_cast<void>(Buffers(plan, count));
  Carver carver(task_buffer<char>(slot, count.used()));
  return Buffers(plan, carver);
}

// Packs rows [m0, m0 + mn) of a matrix, `k` wide, as A.
template <class Unit>
void pack_a(const MatrixRows& rows, std::int64_t m0, std::int64_t mn, std::int64_t k,
            typename Unit::Element* to, std::uint16_t* scratch) {
  ProductArgs args;
  args.a = rows;
  pack_rows_of_a<Unit>(args, m0, mn, 0, k, to, scratch);
}

// Packs B, n columns of k: columns are rows [n0, n0 + n) of a matrix (transposed), or its columns
// in rows [k0, k0 + k).
template <class Unit>
void pack_panels(const MatrixRows& rows, bool transposed, std::int64_t n0, std::int64_t n,
                 std::int64_t k0, std::int64_t k, typename Unit::Element* to,
                 std::uint16_t* scratch) {
  ProductArgs args;
  args.b = rows;
  args.b_transposed = transposed;
  for (std::int64_t j = 0; j < n; j += Unit::kShape.columns, to += panel_size<Unit>(k)) {
    pack_b<Unit>(args, n0 + j, std::min(Unit::kShape.columns, n - j), k0, k, to, scratch);
  }
}

// sums[m][n] = A B, or with `add` += A B. panel: the panels' size.
template <class Unit>
HALFTONE_RUNG_ENTRY void multiply_block(const typename Unit::Element* a, std::int64_t m,
                                        const typename Unit::Element* b, std::int64_t n,
                                        std::int64_t panel, std::int64_t k, float* sums,
                                        std::int64_t stride, bool add) {
  const std::int64_t groups = ceil_div(k, Unit::kShape.group);
  for (std::int64_t j = 0; j < n; j += Unit::kShape.columns, b += panel) {
    for (std::int64_t i = 0; i < m; i += Unit::kShape.rows) {
      Unit::multiply(std::min(Unit::kShape.rows, m - i), a + i * Unit::kRowStride, b, groups,
                     sums + i * stride + j, stride, add);
    }
  }
}

inline MatrixRows head_rows(const AttentionInput& tensor, std::int64_t b, std::int64_t h) {
  return matrix_rows(tensor.at(b, h, 0), tensor.row);
}

// The mask's elements base, base + step, ... as fp32 to be added: for one row along the keys, or
// for one key along the rows.
template <HalfFormat format>
HALFTONE_RUNG_ENTRY void read_mask(const AttentionMask& mask, std::int64_t base, std::int64_t step,
                                   std::int64_t count, float* to) {
  const auto* floats = static_cast<const float*>(mask.data) + base;
  const auto* halves = static_cast<const std::uint16_t*>(mask.data) + base;
  const auto* bytes = static_cast<const std::uint8_t*>(mask.data) + base;
  const std::int64_t elements = step ? count : 1;
  if (mask.kind == AttentionMaskKind::fp32) {
    for (std::int64_t i = 0; i < elements; ++i) to[i] = floats[i * step];
  } else if (mask.kind == AttentionMaskKind::boolean) {
    for (std::int64_t i = 0; i < elements; ++i) to[i] = bytes[i * step] ? 0 : -__builtin_inff();
  } else {
    std::uint16_t lanes[kLanes];
    for (std::int64_t i = 0; i < elements; i += kLanes) {
      const std::int64_t part = std::min(kLanes, elements - i);
      for (std::int64_t l = 0; l < part; ++l) lanes[l] = halves[(i + l) * step];
      store_part(to + i, load_half_part(format, lanes, part), part);
    }
  }
  if (!step) std::fill(to + 1, to + count, to[0]);
}

inline std::int64_t mask_base(const AttentionMask& mask, std::int64_t b, std::int64_t h,
                              std::int64_t row, std::int64_t key) {
  return b * mask.batch + h * mask.head + row * mask.row + key * mask.key;
}

// Sums, scaled, as halves.
template <HalfFormat format>
HALFTONE_RUNG_ENTRY void write_scaled(const float* sums, float scale, std::int64_t count,
                                      std::uint16_t* to) {
  std::int64_t x = 0;
  for (; x + kLanes <= count; x += kLanes) {
    store_half(format, to + x, load(sums + x) * splat(scale));
  }
  if (x < count) {
    store_half_part(format, to + x, load_part(sums + x, count - x) * splat(scale), count - x);
  }
}

// Where a head's work ends for rows [m0, m0 + mn): behind the last key that one of them attends to.
inline std::int64_t last_key(const AttentionProblem& problem, std::int64_t m0, std::int64_t mn) {
  return problem.causal ? std::min(problem.shape.keys, m0 + mn) : problem.shape.keys;
}

// Too little work to hand out: some 20 us of one core.
inline bool serial_attention(const AttentionShape& s) {
  return s.batch * s.heads * s.rows <= kProductSerial / std::max<std::int64_t>(1, s.keys * s.width);
}

inline const char* wide_head_refuses(const AttentionProblem& problem) {
  return problem.shape.width > kWidest ? "a head is wider than 256" : nullptr;
}
