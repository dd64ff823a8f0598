// Random attention problems with strided tensors and masks, and what they give in fp64: for the
// tests of the rungs that there are and of those that are emulated.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "halftone/kernels/attention/attention.h"
#include "tests/kernels/half_matrix.h"

namespace halftone::kernels {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

struct AttentionCase {
  AttentionShape shape;
  bool causal = false;
  AttentionMaskKind mask = AttentionMaskKind::none;
  bool per_head = false, per_row = true, per_key = true;  // what the mask doesn't repeat

  std::string text() const {
    const AttentionShape& s = shape;
    std::string result;
    for (auto each : {s.batch, s.heads, s.kv_heads, s.rows, s.keys, s.width}) {
      result += std::to_string(each) + " ";
    }
    return result + (causal ? "causal " : "") + "mask " + std::to_string(static_cast<int>(mask));
  }
};

// What a tensor should hold, in [batch][head][row][width], and the size that errors are measured
// by: the root of the summed squares of the terms, before they cancel.
struct ExactTensor {
  std::vector<double> values, sizes;
  explicit ExactTensor(std::int64_t count)
      : values(static_cast<std::size_t>(count)), sizes(values.size()) {}
  void add(std::int64_t at, double term, double size) {
    values[static_cast<std::size_t>(at)] += term;
    sizes[static_cast<std::size_t>(at)] += size * size;
  }
};

struct ExactAttention {
  ExactTensor output, log_sum, grad_query, grad_key, grad_value;
};

// A tensor that lies as [batch][row][head][width] with a gap behind each row's heads, as views of a
// projection do. The gap holds kSentinel.
class StridedHalves {
 public:
  static constexpr std::uint16_t kSentinel = 0x1234;

  StridedHalves(std::int64_t batch, std::int64_t heads, std::int64_t rows, std::int64_t width)
      : batch_(batch),
        heads_(heads),
        rows_(rows),
        width_(width),
        halves(static_cast<std::size_t>(batch * rows * row()), kSentinel) {}

  void fill_normal(HalfFormat format, unsigned seed) {
    halves = normal_halves(format, static_cast<std::int64_t>(halves.size()), seed);
  }
  std::int64_t row() const { return heads_ * width_ + 3; }
  AttentionOutput output() { return {halves.data(), rows_ * row(), width_, row()}; }
  AttentionInput input() const { return {halves.data(), rows_ * row(), width_, row()}; }
  std::uint16_t& at(std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t e) {
    return halves[static_cast<std::size_t>((b * rows_ + i) * row() + h * width_ + e)];
  }
  bool gaps_untouched() const {
    for (std::size_t i = 0; i < halves.size(); ++i) {
      if (static_cast<std::int64_t>(i) % row() >= heads_ * width_ && halves[i] != kSentinel) {
        return false;
      }
    }
    return true;
  }

  // |got - exact| / size, as 2-norms over the tensor; infinite where an element is not finite.
  double error(HalfFormat format, const ExactTensor& exact) {
    double error = 0, size = 1e-300;
    std::size_t n = 0;
    for (std::int64_t x = 0; x < batch_ * heads_ * rows_ * width_; ++x, ++n) {
      const std::int64_t e = x % width_, i = x / width_ % rows_, h = x / width_ / rows_ % heads_;
      const double got = value_of(format, at(x / width_ / rows_ / heads_, h, i, e));
      error += (got - exact.values[n]) * (got - exact.values[n]);
      size += exact.sizes[n];
    }
    return std::isfinite(error) ? std::sqrt(error / size) : INFINITY;
  }

 private:
  std::int64_t batch_, heads_, rows_, width_;

 public:
  Halves halves;
};

class AttentionTestProblem {
 public:
  AttentionTestProblem(HalfFormat format, const AttentionCase& c, unsigned seed = 1)
      : query(c.shape.batch, c.shape.heads, c.shape.rows, c.shape.width),
        key(c.shape.batch, c.shape.kv_heads, c.shape.keys, c.shape.width),
        value(key),
        output(query),
        grad_output(query),
        grad_query(query),
        grad_key(key),
        grad_value(key),
        log_sum(static_cast<std::size_t>(c.shape.batch * c.shape.heads * c.shape.rows), -1) {
    for (StridedHalves* each : {&query, &key, &value, &grad_output}) {
      each->fill_normal(format, seed++);
    }
    problem.format = format;
    problem.shape = c.shape;
    problem.causal = c.causal;
    problem.scale = 1 / std::sqrt(static_cast<float>(std::max<std::int64_t>(1, c.shape.width)));
    make_mask(c, seed);
  }

  AttentionArgs forward_args() {
    AttentionArgs args{problem, output.output(), {log_sum.data(), 0, 0, 0}};
    set_inputs(args);
    // As LibTorch's: [batch][row][head].
    const AttentionShape& s = problem.shape;
    args.log_sum.batch = s.rows * s.heads, args.log_sum.head = 1, args.log_sum.row = s.heads;
    return args;
  }
  AttentionBackwardArgs backward_args() {
    const AttentionArgs forward = forward_args();
    const auto& l = forward.log_sum;
    AttentionBackwardArgs args{problem,
                               grad_output.input(),
                               output.input(),
                               {l.data, l.batch, l.head, l.row},
                               grad_query.output(),
                               grad_key.output(),
                               grad_value.output()};
    set_inputs(args);
    return args;
  }
  void run() {
    attention(forward_args());
    attention_backward(backward_args());
  }
  bool gaps_untouched() const {
    return output.gaps_untouched() && grad_query.gaps_untouched() && grad_key.gaps_untouched() &&
           grad_value.gaps_untouched();
  }
  ExactAttention exact();

  AttentionProblem problem;
  StridedHalves query, key, value, output, grad_output, grad_query, grad_key, grad_value;
  std::vector<float> log_sum, mask_floats;
  Halves mask_halves;
  std::vector<std::uint8_t> mask_bytes;

 private:
  void set_inputs(AttentionProblem& args) const {
    args.query = query.input(), args.key = key.input(), args.value = value.input();
    const void* data[] = {nullptr, mask_floats.data(), mask_halves.data(), mask_bytes.data()};
    args.mask.data = data[static_cast<int>(args.mask.kind)];
  }
  double mask_at(std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j) const {
    const AttentionMask& m = problem.mask;
    const std::int64_t at = b * m.batch + h * m.head + i * m.row + j * m.key;
    return m.kind == AttentionMaskKind::none ? 0 : mask_floats[static_cast<std::size_t>(at)];
  }
  void make_mask(const AttentionCase& c, unsigned seed);
  void exact_row(ExactAttention& exact, std::int64_t b, std::int64_t h, std::int64_t i);
};

// A third of the elements take no part; the first row, where there are several, not at all.
inline void AttentionTestProblem::make_mask(const AttentionCase& c, unsigned seed) {
  AttentionMask& mask = problem.mask;
  mask.kind = c.mask;
  const std::int64_t keys = c.per_key ? c.shape.keys : 1, rows = c.per_row ? c.shape.rows : 1;
  const std::int64_t heads = c.per_head ? c.shape.heads : 1;
  mask.key = c.per_key ? 1 : 0, mask.row = c.per_row ? keys : 0;
  mask.head = c.per_head ? rows * keys : 0, mask.batch = heads * rows * keys;
  mask_halves = normal_halves(problem.format, c.shape.batch * heads * rows * keys, seed);
  for (std::size_t x = 0; x < mask_halves.size(); ++x) {
    const bool out = x % 3 == 1 || (rows > 1 && static_cast<std::int64_t>(x) / keys % rows == 0);
    if (out) mask_halves[x] = float_to_half(problem.format, kMinusInfinity);
    mask_bytes.push_back(!out);
    const auto number = static_cast<float>(value_of(problem.format, mask_halves[x]));
    mask_floats.push_back(c.mask == AttentionMaskKind::boolean && !out ? 0 : number);
  }
}

inline void AttentionTestProblem::exact_row(ExactAttention& exact, std::int64_t b, std::int64_t h,
                                            std::int64_t i) {
  const AttentionShape& s = problem.shape;
  const HalfFormat format = problem.format;
  const std::int64_t kv = h / (s.heads / s.kv_heads), own = (b * s.heads + h) * s.rows + i;
  const std::int64_t keys = problem.causal ? std::min(s.keys, i + 1) : s.keys;
  const auto others = [&](std::int64_t j) { return (b * s.kv_heads + kv) * s.keys + j; };
  const auto dot = [&](StridedHalves& x, StridedHalves& y, std::int64_t j) {
    double sum = 0;
    for (std::int64_t e = 0; e < s.width; ++e) {
      sum += value_of(format, x.at(b, h, i, e)) * value_of(format, y.at(b, kv, j, e));
    }
    return sum;
  };
  std::vector<double> weights;
  double largest = -1e30, total = 0, delta = 0;
  for (std::int64_t j = 0; j < keys; ++j) {
    weights.push_back(problem.scale * dot(query, key, j) + mask_at(b, h, i, j));
    largest = std::max(largest, weights.back());
  }
  for (double& each : weights) total += each = std::exp(each - largest);
  if (total == 0) return;
  exact.log_sum.add(own, largest + std::log(total), 1);
  for (std::int64_t j = 0; j < keys; ++j) {
    const double weight = weights[static_cast<std::size_t>(j)] /= total;
    delta += weight * dot(grad_output, value, j);
    for (std::int64_t e = 0; e < s.width; ++e) {
      const double term = weight * value_of(format, value.at(b, kv, j, e));
      exact.output.add(own * s.width + e, term, term);
    }
  }
  for (std::int64_t j = 0; j < keys; ++j) {
    const double weight = weights[static_cast<std::size_t>(j)];
    const double grad_weight = dot(grad_output, value, j);
    const double grad_score = problem.scale * weight * (grad_weight - delta);
    const double size = problem.scale * weight * std::hypot(grad_weight, delta);
    for (std::int64_t e = 0; e < s.width; ++e) {
      const double k = value_of(format, key.at(b, kv, j, e));
      const double q = value_of(format, query.at(b, h, i, e));
      const double g = value_of(format, grad_output.at(b, h, i, e));
      exact.grad_query.add(own * s.width + e, grad_score * k, size * k);
      exact.grad_key.add(others(j) * s.width + e, grad_score * q, size * q);
      exact.grad_value.add(others(j) * s.width + e, weight * g, weight * g);
    }
  }
}

inline ExactAttention AttentionTestProblem::exact() {
  const AttentionShape& s = problem.shape;
  const std::int64_t rows = s.batch * s.heads * s.rows, keys = s.batch * s.kv_heads * s.keys;
  ExactAttention exact{ExactTensor(rows * s.width), ExactTensor(rows), ExactTensor(rows * s.width),
                       ExactTensor(keys * s.width), ExactTensor(keys * s.width)};
  for (std::int64_t row = 0; row < rows; ++row) {
    exact_row(exact, row / s.rows / s.heads, row / s.rows % s.heads, row % s.rows);
  }
  return exact;
}

}  // namespace halftone::kernels
