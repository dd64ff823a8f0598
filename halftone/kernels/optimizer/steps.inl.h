// The update rules, once for all rungs. Each rung's file includes this text inside its namespace,
// behind its own HALFTONE_RUNG (target attribute), Vec, kLanes, load, store, load_half, store_half,
// store_half_stochastic, splat, square_root, smaller, larger and Squares. No guard: the text is
// compiled once per rung.
// Elements beyond the last whole vector go to the reference, which gives the same bits.

HALFTONE_RUNG Vec load_gradient(const ParameterSpan& p, std::int64_t i) {
  if (p.gradient_format == Element::fp32) return load(static_cast<const float*>(p.gradient) + i);
  return load_half(half_format(p.gradient_format),
                   static_cast<const std::uint16_t*>(p.gradient) + i);
}

// The weight as the step sees it.
HALFTONE_RUNG Vec load_weight(const ParameterSpan& p, std::int64_t i) {
  if (p.kind == WeightKind::plain) return load(static_cast<const float*>(p.weight) + i);
  if (p.kind == WeightKind::master) return load(p.master + i);
  const HalfFormat format = half_format(p.weight_format);
  const Vec weight = load_half(format, static_cast<const std::uint16_t*>(p.weight) + i);
  if (p.kind == WeightKind::stochastic) return weight;
  // Exact: both together have at most 24 significant bits.
  return weight + load_half(format, p.compensation + i) * splat(1 / kahan_scale(p.weight_format));
}

HALFTONE_RUNG void store_weight(const ParameterSpan& p, std::uint64_t key, std::int64_t i,
                                Vec value) {
  if (p.kind == WeightKind::plain) return store(static_cast<float*>(p.weight) + i, value);
  const HalfFormat format = half_format(p.weight_format);
  std::uint16_t* weight = static_cast<std::uint16_t*>(p.weight) + i;
  if (p.kind == WeightKind::stochastic) {
    return store_half_stochastic(format, weight, value, key, static_cast<std::uint32_t>(i));
  }
  store_half(format, weight, value);
  if (p.kind == WeightKind::master) return store(p.master + i, value);
  const Vec lost = value - load_half(format, weight);  // exact
  store_half(format, p.compensation + i, lost * splat(kahan_scale(p.weight_format)));
}

// Unscaled, clipped, with L2 decay. NaN stays NaN: smaller and larger return their second operand.
HALFTONE_RUNG Vec step_gradient(const ParameterSpan& p, std::int64_t i, Vec weight) {
  const UpdateNumbers& n = p.numbers;
  Vec g = load_gradient(p, i) * splat(n.gradient_scale);
  g = smaller(splat(n.clip_value), larger(splat(-n.clip_value), g));
  return n.l2 == 0 ? g : g + splat(n.l2) * weight;
}

HALFTONE_RUNG Vec sgd(const ParameterSpan& p, std::int64_t i, Vec weight) {
  const UpdateNumbers& n = p.numbers;
  Vec g = step_gradient(p, i, weight);
  if (n.momentum != 0) {
    const Vec b = n.first ? g : splat(n.momentum) * load(p.state[0] + i) + splat(n.undampened) * g;
    store(p.state[0] + i, b);
    g = n.nesterov ? g + splat(n.momentum) * b : b;
  }
  return weight - splat(n.step_size) * g;
}

// Updates both moments; m and the denominator come back.
struct Moments {
  Vec m, denominator;
};

HALFTONE_RUNG Moments moments(const ParameterSpan& p, std::int64_t i, Vec g) {
  const UpdateNumbers& n = p.numbers;
  Vec m = load(p.state[0] + i);
  Vec v = load(p.state[1] + i);
  m = m + splat(n.one_minus_beta1) * (g - m);
  v = splat(n.beta2) * v + splat(n.one_minus_beta2) * g * g;
  store(p.state[0] + i, m);
  store(p.state[1] + i, v);
  if (p.state[2]) {
    v = larger(load(p.state[2] + i), v);
    store(p.state[2] + i, v);
  }
  return {m, square_root(v) * splat(n.root_correction) + splat(n.eps)};
}

HALFTONE_RUNG Vec adam(const ParameterSpan& p, std::int64_t i, Vec weight) {
  const Moments now = moments(p, i, step_gradient(p, i, weight));
  return weight * splat(p.numbers.keep) - splat(p.numbers.step_size) * now.m / now.denominator;
}

HALFTONE_RUNG Vec lamb_direction(const UpdateNumbers& n, const Moments& now, Vec weight) {
  return splat(n.correction) * now.m / now.denominator + splat(n.decay) * weight;
}

// The moments as the direction pass left them.
HALFTONE_RUNG Vec lamb(const ParameterSpan& p, std::int64_t i, Vec weight) {
  const UpdateNumbers& n = p.numbers;
  const Vec v = load((p.state[2] ? p.state[2] : p.state[1]) + i);
  const Moments now{load(p.state[0] + i), square_root(v) * splat(n.root_correction) + splat(n.eps)};
  return weight - splat(n.step_size) * lamb_direction(n, now, weight);
}

// The whole vectors of elements [begin, end) within a block; sums: of squares of w and u, added to.
// Returns where the vectors end. The copy keeps the compiler from reading the span anew after each
// store.
HALFTONE_RUNG_ENTRY std::int64_t update_vectors(const ParameterSpan& span, std::int64_t begin,
                                                std::int64_t end, double* sums) {
  const ParameterSpan p = span;
  const std::uint64_t key = range_key(p.key, begin);
  std::int64_t i = begin;
  switch (p.rule) {
    case UpdateRule::sgd:
      for (; i + kLanes <= end; i += kLanes) store_weight(p, key, i, sgd(p, i, load_weight(p, i)));
      break;
    case UpdateRule::adam:
      for (; i + kLanes <= end; i += kLanes) store_weight(p, key, i, adam(p, i, load_weight(p, i)));
      break;
    case UpdateRule::lamb_direction: {
      Squares weights, directions;
      for (; i + kLanes <= end; i += kLanes) {
        const Vec weight = load_weight(p, i);
        const Moments now = moments(p, i, step_gradient(p, i, weight));
        weights.add(weight);
        directions.add(lamb_direction(p.numbers, now, weight));
      }
      sums[0] += weights.total();
      sums[1] += directions.total();
      break;
    }
    case UpdateRule::lamb_apply:
      for (; i + kLanes <= end; i += kLanes) store_weight(p, key, i, lamb(p, i, load_weight(p, i)));
      break;
  }
  return i;
}
