// The backward pass (FlashAttention-2, algorithm 2) over a rung's Unit, behind blocks.inl.h. A task
// is a part of the row blocks of all query heads of one key head; it sums dK and dV over them, and
// each row block's dQ over the keys. Scores are computed transposed, S^T = K Q^T, so that P^T and
// dS^T lie as rows along the query's rows: A of dV = P^T dO and dK = dS^T Q as they are; only
// dQ = dS K needs dS^T turned.

// Blocks of 128 rows and 128 keys: two blocks of fp32 sums (128 KB), their halves and ten packed
// operands of some 16 to 32 KB fit a 1 MB L2.
constexpr std::int64_t kBackwardRows = 128, kBackwardKeys = 128;

template <class Unit>
struct BackwardPlan {
  explicit BackwardPlan(const AttentionShape& s)
      : shape(s),
        row_block(even_block(s.rows, round_up(kBackwardRows, Unit::kShape.columns),
                             Unit::kShape.columns)),
        key_block(
            even_block(s.keys, round_up(kBackwardKeys, Unit::kShape.rows), Unit::kShape.rows)),
        row_blocks(ceil_div(s.rows, row_block)),
        key_blocks(ceil_div(s.keys, key_block)),
        items(s.heads / std::max<std::int64_t>(1, s.kv_heads) * row_blocks),
        serial(serial_attention(s)) {
    const std::int64_t heads = std::max<std::int64_t>(1, s.batch * s.kv_heads);
    const std::int64_t wanted = serial ? 1 : ceil_div(kProductTasks, heads);
    part_items = std::max<std::int64_t>(1, ceil_div(items, wanted));
    parts = std::max<std::int64_t>(1, ceil_div(items, part_items));
  }

  // Of the sums of dK or dV of one head.
  std::int64_t sums_of_head() const {
    return round_up(shape.keys, Unit::kShape.rows) * sums_row<Unit>(shape.width);
  }

  AttentionShape shape;
  std::int64_t row_block, key_block, row_blocks, key_blocks;
  std::int64_t items;  // row blocks of the heads that share a key head
  bool serial;
  std::int64_t part_items = 1, parts = 1;  // by shape: sums don't depend on threads
};

template <class Unit>
struct BackwardBuffers {
  using Element = typename Unit::Element;

  BackwardBuffers(const BackwardPlan<Unit>& p, Carver& carver)
      : block_row(sums_row<Unit>(p.row_block)), width_row(sums_row<Unit>(p.shape.width)) {
    const std::int64_t width = p.shape.width;
    for (Element** each : {&query_columns, &grad_columns}) {
      *each = carver.take<Element>(panels_size<Unit>(p.row_block, width));
    }
    for (Element** each : {&query_rows, &grad_rows}) {
      *each = carver.take<Element>(panels_size<Unit>(width, p.row_block));
    }
    for (Element** each : {&key, &value, &transposed}) {
      *each = carver.take<Element>(rows_size<Unit>(p.key_block));
    }
    key_rows = carver.take<Element>(panels_size<Unit>(width, p.key_block));
    turned = carver.take<Element>(rows_size<Unit>(p.row_block));
    for (float** each : {&scores, &grad_weights}) {
      *each = carver.take<float>(sums_size<Unit>(p.key_block, p.row_block));
    }
    grad_query = carver.take<float>(sums_size<Unit>(p.row_block, width));
    for (float** each : {&mask, &log_sum, &delta}) *each = carver.take<float>(p.row_block);
    for (std::uint16_t** each : {&weights, &grad_scores}) {
      *each = carver.take<std::uint16_t>(p.key_block * p.row_block);
    }
    scratch = carver.take<std::uint16_t>(Unit::kLanes * Unit::kShape.group * kWidest);
    key_sums = p.parts > 1 ? nullptr : carver.take<float>(2 * p.sums_of_head());
  }

  std::int64_t block_row, width_row;
  Element *query_columns, *grad_columns;    // B of S^T = K Q^T and dP^T = V dO^T
  Element *query_rows, *grad_rows;          // B of dK = dS^T Q and dV = P^T dO
  Element *key, *value;                     // A of S^T and dP^T
  Element *transposed, *turned, *key_rows;  // P^T or dS^T, A; dS, A; B of dQ = dS K
  float *scores, *grad_weights, *grad_query;
  float *mask, *log_sum, *delta;  // of the row block
  std::uint16_t *weights, *grad_scores, *scratch;
  float* key_sums;  // dK, then dV
};

// For one key, along `count` rows: weights = e^(score - log_sum), grad_scores = weights *
// (grad_weights - delta), halves. Vectors that lie wholly before `first` are left out.
template <HalfFormat format, bool masked>
HALFTONE_RUNG_ENTRY void differentiate(const float* products, const float* grad_weights,
                                       std::int64_t first, std::int64_t count, float scale,
                                       const float* mask, const float* log_sum, const float* delta,
                                       std::uint16_t* weights, std::uint16_t* grad_scores) {
  for (std::int64_t x = first / kLanes * kLanes; x < count; x += kLanes) {
    Vec score = load(products + x) * splat(scale);
    if (masked) score = score + load(mask + x);
    const Vec weight = exponential(score - load(log_sum + x));
    store_half(format, weights + x, weight);
    store_half(format, grad_scores + x, weight * (load(grad_weights + x) - load(delta + x)));
  }
}

template <HalfFormat format>
HALFTONE_RUNG_ENTRY float dot_halves(const std::uint16_t* a, const std::uint16_t* b,
                                     std::int64_t count) {
  Vec sum = splat(0);
  for (std::int64_t x = 0; x < count; x += kLanes) {
    const std::int64_t part = std::min(kLanes, count - x);
    sum = fmadd(load_half_part(format, a + x, part), load_half_part(format, b + x, part), sum);
  }
  return reduce_add(sum);
}

template <class Unit, HalfFormat format>
struct BackwardPass {
  using Buffers = BackwardBuffers<Unit>;
  const AttentionBackwardArgs& args;
  const BackwardPlan<Unit> plan;
  float* partial;  // [head][part][dK, dV][keys][width], or null

  // Rows [m0, m0 + mn) of head h: the operands that all key blocks share.
  void pack_query(Buffers& own, std::int64_t b, std::int64_t h, std::int64_t m0,
                  std::int64_t mn) const {
    const std::int64_t width = plan.shape.width;
    const MatrixRows query = head_rows(args.query, b, h), grad = head_rows(args.grad_output, b, h);
    pack_panels<Unit>(query, true, m0, mn, 0, width, own.query_columns, own.scratch);
    pack_panels<Unit>(grad, true, m0, mn, 0, width, own.grad_columns, own.scratch);
    pack_panels<Unit>(query, false, 0, width, m0, mn, own.query_rows, own.scratch);
    pack_panels<Unit>(grad, false, 0, width, m0, mn, own.grad_rows, own.scratch);
    std::fill(own.log_sum, own.log_sum + plan.row_block, 0.0f);
    std::fill(own.delta, own.delta + plan.row_block, 0.0f);
    for (std::int64_t i = 0; i < mn; ++i) {
      own.log_sum[i] = *args.log_sum.at(b, h, m0 + i);
      own.delta[i] = dot_halves<format>(args.grad_output.at(b, h, m0 + i),
                                        args.output.at(b, h, m0 + i), width);
    }
  }

  void pack_key(Buffers& own, std::int64_t b, std::int64_t kv, std::int64_t n0,
                std::int64_t nn) const {
    const std::int64_t width = plan.shape.width;
    const MatrixRows key = head_rows(args.key, b, kv), value = head_rows(args.value, b, kv);
    pack_a<Unit>(key, n0, nn, width, own.key, own.scratch);
    pack_a<Unit>(value, n0, nn, width, own.value, own.scratch);
    pack_panels<Unit>(key, false, 0, width, n0, nn, own.key_rows, own.scratch);
  }

  // P^T and dS^T of a block, in halves.
  void weigh(Buffers& own, std::int64_t b, std::int64_t h, std::int64_t m0, std::int64_t mn,
             std::int64_t n0, std::int64_t nn) const {
    const AttentionMask& mask = args.mask;
    const bool masked = mask.kind != AttentionMaskKind::none;
    const auto run = masked ? differentiate<format, true> : differentiate<format, false>;
    for (std::int64_t j = 0; j < nn; ++j) {
      const std::int64_t first = args.causal ? std::clamp<std::int64_t>(n0 + j - m0, 0, mn) : 0;
      std::uint16_t* weights = own.weights + j * plan.row_block;
      std::uint16_t* grad_scores = own.grad_scores + j * plan.row_block;
      if (masked) {
        read_mask<format>(mask, mask_base(mask, b, h, m0, n0 + j), mask.row, mn, own.mask);
      }
      run(own.scores + j * own.block_row, own.grad_weights + j * own.block_row, first, mn,
          args.scale, own.mask, own.log_sum, own.delta, weights, grad_scores);
      std::fill(weights, weights + first, std::uint16_t{0});
      std::fill(grad_scores, grad_scores + first, std::uint16_t{0});
    }
  }

  // One block of rows against one block of keys.
  void block(Buffers& own, std::int64_t b, std::int64_t h, std::int64_t m0, std::int64_t mn,
             std::int64_t n0, std::int64_t nn, float* key_sums) const {
    const std::int64_t width = plan.shape.width, panel = panel_size<Unit>(width);
    multiply_block<Unit>(own.key, nn, own.query_columns, mn, panel, width, own.scores,
                         own.block_row, false);
    multiply_block<Unit>(own.value, nn, own.grad_columns, mn, panel, width, own.grad_weights,
                         own.block_row, false);
    weigh(own, b, h, m0, mn, n0, nn);
    float* grad_key = key_sums + n0 * own.width_row;
    float* grad_value = grad_key + plan.sums_of_head();
    const MatrixRows grad_scores = matrix_rows(own.grad_scores, plan.row_block);
    pack_a<Unit>(matrix_rows(own.weights, plan.row_block), 0, nn, mn, own.transposed, own.scratch);
    multiply_block<Unit>(own.transposed, nn, own.grad_rows, width, panel_size<Unit>(mn), mn,
                         grad_value, own.width_row, true);
    pack_a<Unit>(grad_scores, 0, nn, mn, own.transposed, own.scratch);
    multiply_block<Unit>(own.transposed, nn, own.query_rows, width, panel_size<Unit>(mn), mn,
                         grad_key, own.width_row, true);
    ProductArgs turned;
    turned.a = grad_scores;
    pack_columns_of_a<Unit>(turned, 0, mn, 0, nn, own.turned, own.scratch);
    multiply_block<Unit>(own.turned, mn, own.key_rows, width, panel_size<Unit>(nn), nn,
                         own.grad_query, own.width_row, n0 > 0);
  }

  void write_key(std::int64_t b, std::int64_t kv, std::int64_t row, const float* key_sums) const {
    const std::int64_t width = plan.shape.width;
    const float* sums = key_sums + row * sums_row<Unit>(width);
    write_scaled<format>(sums, args.scale, width, args.grad_key.at(b, kv, row));
    write_scaled<format>(sums + plan.sums_of_head(), 1, width, args.grad_value.at(b, kv, row));
  }

  void run(Buffers& own, std::int64_t task) const {
    const AttentionShape& s = plan.shape;
    const std::int64_t head = task / plan.parts, part = task % plan.parts;
    const std::int64_t b = head / s.kv_heads, kv = head % s.kv_heads;
    float* key_sums = partial ? partial + task * 2 * plan.sums_of_head() : own.key_sums;
    std::fill(key_sums, key_sums + 2 * plan.sums_of_head(), 0.0f);
    const std::int64_t last = std::min((part + 1) * plan.part_items, plan.items);
    for (std::int64_t item = part * plan.part_items; item < last; ++item) {
      const std::int64_t h = kv * (s.heads / s.kv_heads) + item / plan.row_blocks;
      const std::int64_t m0 = item % plan.row_blocks * plan.row_block;
      const std::int64_t mn = std::min(plan.row_block, s.rows - m0);
      pack_query(own, b, h, m0, mn);
      const std::int64_t end = last_key(args, m0, mn);
      for (std::int64_t n0 = 0; n0 < end; n0 += plan.key_block) {
        // A block is never cut short at `end`: a unit may add to whole tiles of dK's rows.
        const std::int64_t nn = std::min(plan.key_block, s.keys - n0);
        pack_key(own, b, kv, n0, nn);
        block(own, b, h, m0, mn, n0, nn, key_sums);
      }
      for (std::int64_t i = 0; i < mn; ++i) {
        std::uint16_t* to = args.grad_query.at(b, h, m0 + i);
        if (end > 0) {
          write_scaled<format>(own.grad_query + i * own.width_row, args.scale, s.width, to);
        } else {
          std::fill(to, to + s.width, std::uint16_t{0});
        }
      }
    }
    if (partial) return;
    for (std::int64_t row = 0; row < s.keys; ++row) write_key(b, kv, row, key_sums);
  }

  // The parts of one row of one head's dK and dV, first to last.
  void add_parts(std::int64_t index) const {
    const std::int64_t head = index / plan.shape.keys, row = index % plan.shape.keys;
    const std::int64_t size = 2 * plan.sums_of_head(), stride = sums_row<Unit>(plan.shape.width);
    float* sums = partial + head * plan.parts * size;
    for (std::int64_t part = 1; part < plan.parts; ++part) {
      for (std::int64_t at : {row * stride, row * stride + plan.sums_of_head()}) {
        const float* more = sums + part * size;
        for (std::int64_t e = at; e < at + plan.shape.width; ++e) sums[e] += more[e];
      }
    }
    write_key(head / plan.shape.kv_heads, head % plan.shape.kv_heads, row, sums);
  }
};

template <class Unit, HalfFormat format>
void run_attention_backward(const AttentionBackwardArgs& args) {
  BackwardPass<Unit, format> pass{args, BackwardPlan<Unit>(args.shape), nullptr};
  const BackwardPlan<Unit>& plan = pass.plan;
  const std::int64_t heads = args.shape.batch * args.shape.kv_heads, tasks = heads * plan.parts;
  if (plan.parts > 1) {
    pass.partial =
        task_buffer<float>(WorkspaceSlot::shared_operand, 2 * tasks * plan.sums_of_head());
  }
  parallel_for(0, tasks, plan.serial ? tasks : 1, [&](std::int64_t begin, std::int64_t end) {
    auto own = carve<BackwardBuffers<Unit>>(WorkspaceSlot::own_operand, plan);
    Unit::begin();
    for (std::int64_t task = begin; task < end; ++task) pass.run(own, task);
    Unit::end();
  });
  if (!pass.partial) return;
  parallel_for(0, heads * args.shape.keys, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) pass.add_parts(i);
  });
}
