// The forward pass (FlashAttention-2, algorithm 1) over a rung's Unit, behind blocks.inl.h: a task
// is a block of rows of one head. Keys and values stay packed while a thread works on their head.

// Rows: 8 tiles of the 14-row units, whose packed keys and values are then reused often enough to
// hide packing (1/112 of the products), and whose scores (112 x 256 fp32) fit L2 with everything.
constexpr std::int64_t kForwardTiles = 8;
constexpr std::int64_t kForwardKeys = 256;  // the second product's k: at most kWidest

template <class Unit>
struct ForwardPlan {
  explicit ForwardPlan(const AttentionShape& s)
      : shape(s),
        row_block(even_block(s.rows, Unit::kShape.rows * kForwardTiles, Unit::kShape.rows)),
        key_block(even_block(s.keys, kForwardKeys, Unit::kShape.columns)),
        row_blocks(ceil_div(s.rows, row_block)),
        key_blocks(ceil_div(s.keys, key_block)) {}

  AttentionShape shape;
  std::int64_t row_block, key_block, row_blocks, key_blocks;
};

// A row's softmax so far: the largest score and the sum of e^(score - largest).
struct OnlineSoftmax {
  float max = -__builtin_inff(), sum = 0;
};

template <class Unit>
struct ForwardBuffers {
  using Element = typename Unit::Element;

  ForwardBuffers(const ForwardPlan<Unit>& p, Carver& carver)
      : key_size(panels_size<Unit>(p.key_block, p.shape.width)),
        value_size(panels_size<Unit>(p.shape.width, p.key_block)),
        scores_row(sums_row<Unit>(p.key_block)),
        output_row(sums_row<Unit>(p.shape.width)),
        keys(carver.take<Element>(p.key_blocks * key_size)),
        values(carver.take<Element>(p.key_blocks * value_size)),
        query(carver.take<Element>(rows_size<Unit>(p.row_block))),
        weights(carver.take<Element>(rows_size<Unit>(p.row_block))),
        scores(carver.take<float>(sums_size<Unit>(p.row_block, p.key_block))),
        output(carver.take<float>(sums_size<Unit>(p.row_block, p.shape.width))),
        mask(carver.take<float>(p.key_block)),
        halves(carver.take<std::uint16_t>(p.row_block * p.key_block)),
        scratch(carver.take<std::uint16_t>(Unit::kLanes * Unit::kShape.group * kWidest)),
        softmax(carver.take<OnlineSoftmax>(p.row_block)) {}

  std::int64_t key_size, value_size;  // of a block
  std::int64_t scores_row, output_row;
  Element *keys, *values;  // [key block]: B for Q K^T, B for P V
  Element *query, *weights;
  float *scores, *output, *mask;
  std::uint16_t *halves, *scratch;
  OnlineSoftmax* softmax;
  std::int64_t head = -1, packed = 0;  // the head that is packed, its first `packed` blocks
};

template <bool masked>
HALFTONE_RUNG Vec score(const float* products, float scale, const float* mask, std::int64_t x) {
  const Vec scaled = load(products + x) * splat(scale);
  return masked ? scaled + load(mask + x) : scaled;
}

// The last, partial vector: lanes beyond `part` give -infinity, whatever lies there.
template <bool masked>
HALFTONE_RUNG Vec score_part(const float* products, float scale, const float* mask, std::int64_t x,
                             std::int64_t part) {
  Vec scaled = load_part(products + x, part) * splat(scale);
  if (masked) scaled = scaled + load_part(mask + x, part);
  float lanes[kLanes];
  for (std::int64_t i = 0; i < kLanes; ++i) lanes[i] = i < part ? 0 : -__builtin_inff();
  return scaled + load(lanes);
}

// The row's softmax goes on over `count` more products: weights[...] = e^(score - largest so far),
// halves. Returns what the weights before have to be multiplied with. NaN doesn't become the
// largest; it is a weight, and with it the sum.
template <HalfFormat format, bool masked>
HALFTONE_RUNG_ENTRY float continue_softmax(const float* products, std::int64_t count, float scale,
                                           const float* mask, OnlineSoftmax& row,
                                           std::uint16_t* weights) {
  Vec largest = splat(-__builtin_inff());
  std::int64_t x = 0;
  for (; x + kLanes <= count; x += kLanes) {
    largest = larger(score<masked>(products, scale, mask, x), largest);
  }
  const std::int64_t whole = x;
  if (x < count) {
    largest = larger(score_part<masked>(products, scale, mask, x, count - x), largest);
  }
  const float before = row.max;
  row.max = std::max(before, reduce_max(largest));
  const float shift = row.max == -__builtin_inff() ? 0 : row.max;
  Vec sum = splat(0);
  for (x = 0; x < whole; x += kLanes) {
    const Vec weight = exponential(score<masked>(products, scale, mask, x) - splat(shift));
    sum = sum + weight;
    store_half(format, weights + x, weight);
  }
  if (x < count) {
    const Vec weight =
        exponential(score_part<masked>(products, scale, mask, x, count - x) - splat(shift));
    sum = sum + weight;
    store_half(format, weights + x, weight);
  }
  const float factor = before == row.max ? 1 : std::exp(before - shift);
  row.sum = row.sum * factor + reduce_add(sum);
  return factor;
}

template <class Unit, HalfFormat format>
struct ForwardPass {
  using Buffers = ForwardBuffers<Unit>;
  const AttentionArgs& args;
  const ForwardPlan<Unit> plan;

  // Rows [m0, m0 + mn) of head h against keys [n0, n0 + nn): scores to weights, A of the second
  // product; earlier output is rescaled.
  void weigh(Buffers& own, std::int64_t b, std::int64_t h, std::int64_t m0, std::int64_t mn,
             std::int64_t n0, std::int64_t nn) const {
    const AttentionMask& mask = args.mask;
    const bool masked = mask.kind != AttentionMaskKind::none;
    const auto proceed = masked ? continue_softmax<format, true> : continue_softmax<format, false>;
    for (std::int64_t i = 0; i < mn; ++i) {
      const std::int64_t count =
          args.causal ? std::clamp<std::int64_t>(m0 + i + 1 - n0, 0, nn) : nn;
      std::uint16_t* weights = own.halves + i * plan.key_block;
      if (masked && count) {
        read_mask<format>(mask, mask_base(mask, b, h, m0 + i, n0), mask.key, count, own.mask);
      }
      const float factor = proceed(own.scores + i * own.scores_row, count, args.scale, own.mask,
                                   own.softmax[i], weights);
      std::fill(weights + count, weights + nn, std::uint16_t{0});
      if (n0 == 0 || factor == 1) continue;
      float* output = own.output + i * own.output_row;
      for (std::int64_t e = 0; e < plan.shape.width; ++e) output[e] *= factor;
    }
    pack_a<Unit>(matrix_rows(own.halves, plan.key_block), 0, mn, nn, own.weights, own.scratch);
  }

  void write(const Buffers& own, std::int64_t b, std::int64_t h, std::int64_t m0,
             std::int64_t mn) const {
    for (std::int64_t i = 0; i < mn; ++i) {
      const auto [max, sum] = own.softmax[i];
      std::uint16_t* to = args.output.at(b, h, m0 + i);
      if (sum == 0) {
        std::fill(to, to + plan.shape.width, std::uint16_t{0});
      } else {
        write_scaled<format>(own.output + i * own.output_row, 1 / sum, plan.shape.width, to);
      }
      *args.log_sum.at(b, h, m0 + i) = sum == 0 ? 0 : max + std::log(sum);
    }
  }

  void pack_next(Buffers& own, std::int64_t b, std::int64_t kv) const {
    const std::int64_t n0 = own.packed * plan.key_block;
    const std::int64_t nn = std::min(plan.key_block, plan.shape.keys - n0);
    pack_panels<Unit>(head_rows(args.key, b, kv), true, n0, nn, 0, plan.shape.width,
                      own.keys + own.packed * own.key_size, own.scratch);
    pack_panels<Unit>(head_rows(args.value, b, kv), false, 0, plan.shape.width, n0, nn,
                      own.values + own.packed * own.value_size, own.scratch);
    ++own.packed;
  }

  void run(Buffers& own, std::int64_t task) const {
    const AttentionShape& s = plan.shape;
    const std::int64_t m0 = task % plan.row_blocks * plan.row_block;
    const std::int64_t mn = std::min(plan.row_block, s.rows - m0);
    const std::int64_t b = task / plan.row_blocks / s.heads, h = task / plan.row_blocks % s.heads;
    const std::int64_t kv = h / (s.heads / s.kv_heads);
    if (own.head != b * s.kv_heads + kv) own.head = b * s.kv_heads + kv, own.packed = 0;
    pack_a<Unit>(head_rows(args.query, b, h), m0, mn, s.width, own.query, own.scratch);
    std::fill(own.softmax, own.softmax + mn, OnlineSoftmax{});
    const std::int64_t end = last_key(args, m0, mn);
    for (std::int64_t block = 0; block * plan.key_block < end; ++block) {
      if (block == own.packed) pack_next(own, b, kv);
      const std::int64_t n0 = block * plan.key_block, nn = std::min(plan.key_block, end - n0);
      multiply_block<Unit>(own.query, mn, own.keys + block * own.key_size, nn,
                           panel_size<Unit>(s.width), s.width, own.scores, own.scores_row, false);
      weigh(own, b, h, m0, mn, n0, nn);
      multiply_block<Unit>(own.weights, mn, own.values + block * own.value_size, s.width,
                           panel_size<Unit>(std::min(plan.key_block, s.keys - n0)), nn, own.output,
                           own.output_row, block > 0);
    }
    write(own, b, h, m0, mn);
  }
};

template <class Unit, HalfFormat format>
void run_attention(const AttentionArgs& args) {
  const ForwardPass<Unit, format> pass{args, ForwardPlan<Unit>(args.shape)};
  const std::int64_t tasks = args.shape.batch * args.shape.heads * pass.plan.row_blocks;
  parallel_for(0, tasks, serial_attention(args.shape) ? tasks : 1,
               [&](std::int64_t begin, std::int64_t end) {
                 auto own = carve<ForwardBuffers<Unit>>(WorkspaceSlot::own_operand, pass.plan);
                 Unit::begin();
                 for (std::int64_t task = begin; task < end; ++task) pass.run(own, task);
                 Unit::end();
               });
}
