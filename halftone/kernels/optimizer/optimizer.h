// The two passes of an optimizer step over many tensors at once: one that reads the gradients, one
// that does everything else.
#pragma once

#include <array>
#include <cstdint>
#include <limits>

#include "halftone/base/export.h"
#include "halftone/kernels/element.h"
#include "halftone/kernels/ladder.h"

namespace halftone::kernels {

// Work and partial sums are cut into blocks of this many elements, by shape alone. 16 K elements of
// fp32 are 64 KB, so that five streams of a block lie in L2 and a block lasts some 15 us: long
// against the cost of handing it to a thread, short against a step.
constexpr std::int64_t kOptimizerBlock = 16384;

// Blocks of a tensor of `length` elements.
constexpr std::int64_t optimizer_blocks(std::int64_t length) {
  return (length + kOptimizerBlock - 1) / kOptimizerBlock;
}

// data: `length` elements, dense, any alignment. length >= 0.
struct GradientSpan {
  Element format;
  const void* data;
  std::int64_t length;
};

// Reads every element of `count` gradients once.
// first_block: count + 1 numbers, the running sum of optimizer_blocks(length), from 0.
// block_sums: first_block[count] numbers, written: the sum of squares of a block, or NaN where a
// block holds an infinity or a NaN. Finite inputs never give NaN or infinity (fp64).
// Error: a block's sum is within 2^-14 of the exact one (fp32 in at least 8 partial sums; blocks
// beyond fp32's range are summed in fp64). Same inputs, same bits for any thread count; the rungs
// differ in rounding.
struct GradientCheckArgs {
  const GradientSpan* spans;
  const std::int64_t* first_block;
  std::int64_t count;
  double* block_sums;
};

HALFTONE_API void gradient_check(const GradientCheckArgs& args);
HALFTONE_API const LadderBase& gradient_check_ladder();

// Where the exact weight lives.
enum class WeightKind : std::uint8_t {
  plain,       // fp32 weight, updated in place
  master,      // half weight, written only; fp32 master, read and written
  stochastic,  // half weight, rounded stochastically
  kahan,       // half weight and a half term that carries what rounding lost
};

enum class UpdateRule : std::uint8_t {
  sgd,             // state[0]: momentum buffer, where momentum != 0
  adam,            // state[0], [1]: first and second moment; [2]: its maximum (AMSGrad), or null
  lamb_direction,  // moments as adam; sums |w|^2 and |u|^2; leaves the weight alone
  lamb_apply,      // recomputes u from the moments and moves the weight
};

// A rule's numbers, computed in fp64 by the caller (ops/update_rules.h), rounded once to fp32.
//   g = clamp(gradient * gradient_scale, +-clip_value) + l2 * w
//   sgd:   b = first ? g : momentum * b + undampened * g
//          d = momentum == 0 ? g : nesterov ? g + momentum * b : b;  w -= step_size * d
//   adam:  w *= keep; m += (1 - beta1) (g - m); v = beta2 v + (1 - beta2) g g
//          w -= step_size * m / (sqrt(v or its maximum) * root_correction + eps)
//   lamb:  m, v as adam; u = m * correction / (sqrt(v) * root_correction + eps) + decay * w
//          w -= step_size * u
template <class Real>
struct BasicUpdateNumbers {
  Real gradient_scale = 1;
  Real clip_value = std::numeric_limits<Real>::infinity();
  Real l2 = 0;
  Real keep = 1;
  Real step_size = 0;
  Real momentum = 0, undampened = 1;
  Real one_minus_beta1 = 0, beta2 = 0, one_minus_beta2 = 0;
  Real eps = 0, root_correction = 1, correction = 1, decay = 0;
  bool nesterov = false, first = false;
};
using UpdateNumbers = BasicUpdateNumbers<float>;

// One parameter. All arrays hold `length` elements in the same order, dense, any alignment; they
// don't overlap. compensation: half, of the weight's format, the lost part times
// kahan_scale(weight_format). key: from draw_key(), kind stochastic only.
struct ParameterSpan {
  UpdateRule rule;
  WeightKind kind;
  Element weight_format, gradient_format;
  std::int64_t length;
  const void* gradient;
  void* weight;
  float* master;
  std::uint16_t* compensation;
  std::array<float*, 3> state;
  std::uint64_t key;
  UpdateNumbers numbers;
};

// block_sums: 2 * first_block[count] numbers, written where a span's rule is lamb_direction: the
// sums of squares of w and u of a block. May be null where none is.
//
// Arithmetic in fp32, each operation rounded once and in the order written above, no fused
// multiply-add: every rung gives the same bits (but for NaN payloads and lamb_direction's sums),
// for any thread count.
struct OptimizerUpdateArgs {
  const ParameterSpan* spans;
  const std::int64_t* first_block;
  std::int64_t count;
  double* block_sums;
};

HALFTONE_API void optimizer_update(const OptimizerUpdateArgs& args);
HALFTONE_API const LadderBase& optimizer_update_ladder();

namespace ref {
void gradient_check(const GradientCheckArgs& args);
void optimizer_update(const OptimizerUpdateArgs& args);
// Elements [begin, end) of a span within one block: the tails of the other rungs.
void update_range(const ParameterSpan& span, std::int64_t begin, std::int64_t end, double* sums);
}  // namespace ref
namespace avx2 {
void gradient_check(const GradientCheckArgs& args);
void optimizer_update(const OptimizerUpdateArgs& args);
}  // namespace avx2
namespace avx512 {
void gradient_check(const GradientCheckArgs& args);
void optimizer_update(const OptimizerUpdateArgs& args);
}  // namespace avx512

}  // namespace halftone::kernels
