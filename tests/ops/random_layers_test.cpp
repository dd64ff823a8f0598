// Norms, pooling, activations, softmax, losses and embeddings of random shapes.
#include <array>

#include "halftone/kernels/activation/activation.h"
#include "halftone/kernels/average_pool/average_pool.h"
#include "halftone/kernels/batch_norm/batch_norm.h"
#include "halftone/kernels/cross_entropy/cross_entropy.h"
#include "halftone/kernels/elementwise/elementwise.h"
#include "halftone/kernels/embedding/embedding.h"
#include "halftone/kernels/group_norm/group_norm.h"
#include "halftone/kernels/layer_norm/layer_norm.h"
#include "halftone/kernels/max_pool/max_pool.h"
#include "halftone/kernels/softmax/softmax.h"
#include "halftone/kernels/upsample/upsample.h"
#include "tests/ops/random_shapes.h"
#include "tests/support/test.h"

namespace halftone {
namespace {

using torch::Tensor;
using Operands = std::vector<Tensor>;

// Enough values in a group that its variance is far from 0.
constexpr std::int64_t kGroup = 12;

// Beside half parameters mean and invstd are kept in half, too (LibTorch's rule), and rounded
// before the gradient is.
constexpr double kStatistics = 2;

TEST(RandomShapes, BatchNorm) {
  const kernels::LadderBase* ladders[] = {&kernels::batch_norm_forward_ladder(),
                                          &kernels::batch_norm_backward_ladder()};
  check_random_shapes(
      {"batch_norm", {ladders, ladders + 2}, kStatistics, true}, [](ShapeDraws& draws) {
        const std::int64_t c = draws.channels();
        const bool wide = draws.chance(50);
        return ShapeCase{
            {draws.operand(
                 {draws.between(1, 4), c, draws.between(kGroup, 30), draws.between(1, 12)}),
             draws.parameter(c, wide), draws.parameter(c, wide)},
            [](const Operands& in) {
              return at::batch_norm(in[0], in[1], in[2], {}, {}, true, 0.1, 1e-5, false);
            }};
      });
}

TEST(RandomShapes, LayerNorm) {
  const kernels::LadderBase* ladders[] = {&kernels::layer_norm_forward_ladder(),
                                          &kernels::layer_norm_backward_ladder()};
  check_random_shapes(
      {"layer_norm", {ladders, ladders + 2}, kStatistics, true}, [](ShapeDraws& draws) {
        const std::int64_t n = draws.between(kGroup, 300);
        const bool wide = draws.chance(50);
        return ShapeCase{
            {draws.operand({draws.between(1, 30), n}), draws.parameter(n, wide),
             draws.parameter(n, wide)},
            [n](const Operands& in) { return at::layer_norm(in[0], {n}, in[1], in[2]); }};
      });
}

TEST(RandomShapes, GroupNorm) {
  const kernels::LadderBase* ladders[] = {&kernels::group_norm_forward_ladder(),
                                          &kernels::group_norm_backward_ladder()};
  check_random_shapes(
      {"group_norm", {ladders, ladders + 2}, kStatistics, true}, [](ShapeDraws& draws) {
        const std::int64_t groups = draws.between(1, 6), c = groups * draws.between(1, 12);
        const bool wide = draws.chance(50);
        return ShapeCase{
            {draws.operand(
                 {draws.between(1, 4), c, draws.between(kGroup, 30), draws.between(1, 12)}),
             draws.parameter(c, wide), draws.parameter(c, wide)},
            [groups](const Operands& in) { return at::group_norm(in[0], groups, in[1], in[2]); },
            std::to_string(groups) + " groups"};
      });
}

TEST(RandomShapes, SoftmaxAndItsLogarithm) {
  // The gradient is taken from the rounded output, whose logarithm is some units large.
  const kernels::LadderBase* ladders[] = {&kernels::softmax_ladder(),
                                          &kernels::softmax_backward_ladder()};
  check_random_shapes({"softmax", {ladders, ladders + 2}, 4}, [](ShapeDraws& draws) {
    const bool log = draws.chance(50);
    return ShapeCase{
        {draws.operand({draws.between(1, 4), draws.between(1, 9), draws.between(1, 200)})},
        [log](const Operands& in) {
          return log ? at::log_softmax(in[0], -1) : at::softmax(in[0], -1);
        },
        log ? "logarithm" : ""};
  });
}

TEST(RandomShapes, CrossEntropy) {
  const kernels::LadderBase* ladders[] = {&kernels::cross_entropy_ladder(),
                                          &kernels::cross_entropy_backward_ladder()};
  check_random_shapes({"cross_entropy", {ladders, ladders + 2}}, [](ShapeDraws& draws) {
    const std::int64_t n = draws.between(1, 30), classes = draws.between(1, 200);
    auto target = at::empty({n}, at::kLong);
    for (std::int64_t i = 0; i < n; ++i) target[i] = draws.between(0, classes - 1);
    target[draws.between(0, n - 1)] = n > 1 && draws.chance(50) ? -100 : 0;
    const double smoothing = draws.chance(50) ? 0 : 0.25;
    const std::int64_t reduction = draws.between(0, 2);
    return ShapeCase{{draws.operand({n, classes})},
                     [=](const Operands& in) {
                       return at::cross_entropy_loss(in[0], target, {}, reduction, -100, smoothing);
                     },
                     "reduction " + std::to_string(reduction)};
  });
}

TEST(RandomShapes, Activations) {
  const kernels::LadderBase* ladders[] = {&kernels::activation_ladder(),
                                          &kernels::activation_backward_ladder()};
  check_random_shapes({"activation", {ladders, ladders + 2}}, [](ShapeDraws& draws) {
    const std::int64_t kind = draws.between(0, 2);
    return ShapeCase{
        {draws.operand({draws.between(1, 9), draws.between(1, 9), draws.between(1, 90)})},
        [kind](const Operands& in) {
          return kind == 0 ? at::silu(in[0]) : at::gelu(in[0], kind == 1 ? "none" : "tanh");
        },
        kind == 0   ? "silu"
        : kind == 1 ? "gelu"
                    : "gelu tanh"};
  });
}

TEST(RandomShapes, ReluAndSums) {
  // A gradient that comes from both is added up in half.
  const kernels::LadderBase* ladders[] = {&kernels::relu_ladder(), &kernels::relu_backward_ladder(),
                                          &kernels::add_ladder()};
  check_random_shapes({"relu and add", {ladders, ladders + 3}, 2, true}, [](ShapeDraws& draws) {
    const std::vector<std::int64_t> sizes{draws.between(1, 9), draws.between(1, 9),
                                          draws.between(1, 90)};
    const bool apart = draws.chance(50);
    return ShapeCase{{draws.operand(sizes), draws.operand(sizes)},
                     [apart](const Operands& in) {
                       const auto sum = at::relu(at::add(in[0], in[1], apart ? 0.5 : 1));
                       return apart ? at::add(sum, in[0]) : sum;
                     },
                     apart ? "added to once more" : ""};
  });
}

TEST(RandomShapes, MaxPool) {
  const kernels::LadderBase* ladders[] = {&kernels::max_pool_ladder(),
                                          &kernels::max_pool_backward_ladder()};
  check_random_shapes({"max_pool2d", {ladders, ladders + 2}}, [](ShapeDraws& draws) {
    const std::int64_t window = draws.between(1, 4), stride = draws.between(1, 3);
    const std::int64_t padding = draws.between(0, window / 2);
    const bool ceil = draws.chance(30);
    return ShapeCase{
        {draws.operand({draws.between(1, 3), draws.channels(), window + draws.between(0, 9),
                        window + draws.between(0, 9)})},
        [=](const Operands& in) { return at::max_pool2d(in[0], window, stride, padding, 1, ceil); },
        "window " + std::to_string(window) + " stride " + std::to_string(stride) + " padding " +
            std::to_string(padding)};
  });
}

TEST(RandomShapes, AveragePools) {
  const kernels::LadderBase* ladders[] = {&kernels::average_pool_ladder(),
                                          &kernels::average_pool_backward_ladder()};
  check_random_shapes({"avg_pool2d", {ladders, ladders + 2}}, [](ShapeDraws& draws) {
    const std::int64_t window = draws.between(1, 4), stride = draws.between(1, 3);
    const std::int64_t padding = draws.between(0, window / 2), h = window + draws.between(1, 9);
    const bool ceil = draws.chance(30), counts_padding = draws.chance(50);
    const bool adaptive = draws.chance(40);
    const std::array<std::int64_t, 2> size{draws.between(1, 7), draws.between(1, 7)};
    const std::int64_t channels = 1 + draws.channels(), w = window + draws.between(0, 9);
    auto x = draws.operand({draws.between(1, 3), channels, h, w});
    // LibTorch's, which has the others, sums gradients in half.
    if (adaptive) x = x.contiguous(at::MemoryFormat::ChannelsLast);
    return ShapeCase{{x},
                     [=](const Operands& in) {
                       return adaptive ? at::adaptive_avg_pool2d(in[0], size)
                                       : at::avg_pool2d(in[0], window, stride, padding, ceil,
                                                        counts_padding);
                     },
                     adaptive ? "adaptive" : "window " + std::to_string(window)};
  });
}

TEST(RandomShapes, BilinearUpsampling) {
  const kernels::LadderBase* ladders[] = {&kernels::upsample_ladder(),
                                          &kernels::upsample_backward_ladder()};
  check_random_shapes({"upsample_bilinear2d", {ladders, ladders + 2}}, [](ShapeDraws& draws) {
    const std::array<std::int64_t, 2> size{draws.between(1, 25), draws.between(1, 25)};
    const bool corners = draws.chance(50);
    return ShapeCase{
        {draws.operand(
            {draws.between(1, 3), draws.channels(), draws.between(1, 12), draws.between(1, 12)})},
        [=](const Operands& in) { return at::upsample_bilinear2d(in[0], size, corners); },
        "to " + std::to_string(size[0]) + "x" + std::to_string(size[1])};
  });
}

TEST(RandomShapes, Embedding) {
  check_random_shapes(
      {"embedding", {&kernels::embedding_backward_ladder()}}, [](ShapeDraws& draws) {
        const std::int64_t words = draws.between(1, 60), n = draws.between(1, 300);
        auto index = at::empty({n}, at::kLong);
        for (std::int64_t i = 0; i < n; ++i) index[i] = draws.between(0, words - 1);
        const std::int64_t padding = draws.chance(30) ? draws.between(0, words - 1) : -1;
        return ShapeCase{{draws.operand({words, draws.between(1, 70)})},
                         [=](const Operands& in) { return at::embedding(in[0], index, padding); }};
      });
}

}  // namespace
}  // namespace halftone
