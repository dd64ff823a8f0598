#include <algorithm>
#include <cmath>
#include <vector>

#include "halftone/base/parallel.h"
#include "halftone/kernels/attention/attention.h"

namespace halftone::kernels::ref {
namespace {

constexpr double kInfinity = __builtin_inf();

double mask_value(const AttentionProblem& p, std::int64_t b, std::int64_t h, std::int64_t i,
                  std::int64_t j) {
  const AttentionMask& mask = p.mask;
  const std::int64_t at = b * mask.batch + h * mask.head + i * mask.row + j * mask.key;
  switch (mask.kind) {
    case AttentionMaskKind::fp32:
      return static_cast<const float*>(mask.data)[at];
    case AttentionMaskKind::half:
      return half_to_float(p.format, static_cast<const std::uint16_t*>(mask.data)[at]);
    case AttentionMaskKind::boolean:
      return static_cast<const std::uint8_t*>(mask.data)[at] ? 0 : -kInfinity;
    case AttentionMaskKind::none:
      break;
  }
  return 0;
}

double dot(const AttentionProblem& p, const std::uint16_t* a, const std::uint16_t* b) {
  double sum = 0;
  for (std::int64_t e = 0; e < p.shape.width; ++e) {
    sum += static_cast<double>(half_to_float(p.format, a[e])) * half_to_float(p.format, b[e]);
  }
  return sum;
}

// sums += factor * row, for one row of halves.
void add_row(const AttentionProblem& p, double factor, const std::uint16_t* row, double* sums) {
  for (std::int64_t e = 0; e < p.shape.width; ++e)
    sums[e] += factor * half_to_float(p.format, row[e]);
}

void write_row(const AttentionProblem& p, double factor, const double* sums, std::uint16_t* to) {
  for (std::int64_t e = 0; e < p.shape.width; ++e) {
    to[e] = float_to_half(p.format, static_cast<float>(factor * sums[e]));
  }
}

// The keys that row i may attend to: the first so many.
std::int64_t keys_of(const AttentionProblem& p, std::int64_t i) {
  return p.causal ? std::min(p.shape.keys, i + 1) : p.shape.keys;
}

double score(const AttentionProblem& p, std::int64_t b, std::int64_t h, std::int64_t i,
             std::int64_t j) {
  const std::int64_t kv = h / (p.shape.heads / p.shape.kv_heads);
  return p.scale * dot(p, p.query.at(b, h, i), p.key.at(b, kv, j)) + mask_value(p, b, h, i, j);
}

void attend_row(const AttentionArgs& args, std::int64_t b, std::int64_t h, std::int64_t i) {
  const std::int64_t keys = keys_of(args, i), kv = h / (args.shape.heads / args.shape.kv_heads);
  std::vector<double> scores, sums(static_cast<std::size_t>(args.shape.width));
  double largest = -kInfinity, total = 0;
  for (std::int64_t j = 0; j < keys; ++j) {
    scores.push_back(score(args, b, h, i, j));
    largest = std::max(largest, scores.back());  // NaN doesn't become it
  }
  const double shift = largest == -kInfinity ? 0 : largest;
  for (std::int64_t j = 0; j < keys; ++j) {
    const double weight = std::exp(scores[static_cast<std::size_t>(j)] - shift);
    total += weight;
    add_row(args, weight, args.value.at(b, kv, j), sums.data());
  }
  if (total == 0) std::fill(sums.begin(), sums.end(), 0.0);
  write_row(args, total == 0 ? 0 : 1 / total, sums.data(), args.output.at(b, h, i));
  *args.log_sum.at(b, h, i) = total == 0 ? 0 : static_cast<float>(shift + std::log(total));
}

// The gradients that one row of the query gives and receives.
void differentiate_row(const AttentionBackwardArgs& args, std::int64_t b, std::int64_t h,
                       std::int64_t i, double* grad_keys, double* grad_values) {
  const std::int64_t kv = h / (args.shape.heads / args.shape.kv_heads), width = args.shape.width;
  const std::uint16_t* grad = args.grad_output.at(b, h, i);
  const double delta = dot(args, grad, args.output.at(b, h, i));
  const double log_sum = *args.log_sum.at(b, h, i);
  std::vector<double> grad_query(static_cast<std::size_t>(width));
  for (std::int64_t j = 0; j < keys_of(args, i); ++j) {
    const double weight = std::exp(score(args, b, h, i, j) - log_sum);
    const double grad_score = weight * (dot(args, grad, args.value.at(b, kv, j)) - delta);
    add_row(args, weight, grad, grad_values + j * width);
    add_row(args, grad_score, args.query.at(b, h, i), grad_keys + j * width);
    add_row(args, grad_score, args.key.at(b, kv, j), grad_query.data());
  }
  write_row(args, args.scale, grad_query.data(), args.grad_query.at(b, h, i));
}

}  // namespace

void attention(const AttentionArgs& args) {
  const AttentionShape& s = args.shape;
  parallel_for(0, s.batch * s.heads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t head = begin; head < end; ++head) {
      for (std::int64_t i = 0; i < s.rows; ++i) {
        attend_row(args, head / s.heads, head % s.heads, i);
      }
    }
  });
}

void attention_backward(const AttentionBackwardArgs& args) {
  const AttentionShape& s = args.shape;
  parallel_for(0, s.batch * s.kv_heads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t head = begin; head < end; ++head) {
      const std::int64_t b = head / s.kv_heads, kv = head % s.kv_heads;
      const std::int64_t group = s.heads / s.kv_heads;
      const auto count = static_cast<std::size_t>(s.keys * s.width);
      std::vector<double> grad_keys(count), grad_values(count);
      for (std::int64_t h = kv * group; h < (kv + 1) * group; ++h) {
        for (std::int64_t i = 0; i < s.rows; ++i) {
          differentiate_row(args, b, h, i, grad_keys.data(), grad_values.data());
        }
      }
      for (std::int64_t j = 0; j < s.keys; ++j) {
        write_row(args, args.scale, grad_keys.data() + j * s.width, args.grad_key.at(b, kv, j));
        write_row(args, 1, grad_values.data() + j * s.width, args.grad_value.at(b, kv, j));
      }
    }
  });
}

}  // namespace halftone::kernels::ref
