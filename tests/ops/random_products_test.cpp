// Convolutions, matrix products and attention of random shapes.
#include <algorithm>
#include <array>
#include <sstream>

#include "halftone/kernels/attention/attention.h"
#include "halftone/kernels/depthwise/depthwise.h"
#include "halftone/kernels/product/product.h"
#include "tests/ops/random_shapes.h"
#include "tests/support/test.h"

namespace halftone {
namespace {

using torch::Tensor;
using Operands = std::vector<Tensor>;

struct DrawnConvolution {
  std::array<std::int64_t, 2> window{}, stride{}, padding{}, dilation{}, input{};
  std::int64_t groups = 1, channels = 0, filters = 0;

  std::string text() const {
    std::ostringstream out;
    out << "stride " << stride[0] << "," << stride[1] << " padding " << padding[0] << ","
        << padding[1] << " dilation " << dilation[0] << "," << dilation[1] << " groups " << groups;
    return out.str();
  }
};

// A window that fits into its padded input.
DrawnConvolution draw_convolution(ShapeDraws& draws) {
  DrawnConvolution c;
  for (std::size_t i : {0u, 1u}) {
    c.window[i] = draws.chance(40) ? 3 : draws.between(1, 5);
    c.stride[i] = draws.chance(60) ? 1 : draws.between(2, 3);
    c.dilation[i] = draws.chance(75) ? 1 : draws.between(2, 3);
    c.padding[i] = draws.between(0, c.window[i] - 1);
    const std::int64_t reach = (c.window[i] - 1) * c.dilation[i] + 1;
    c.input[i] = std::max<std::int64_t>(1, reach - 2 * c.padding[i]) + draws.between(0, 12);
  }
  c.groups = draws.chance(70) ? 1 : draws.between(2, 4);
  c.channels = c.groups * (c.groups == 1 ? draws.channels() : draws.between(1, 9));
  c.filters = c.groups * (c.groups == 1 ? draws.channels() : draws.between(1, 9));
  return c;
}

ShapeCase conv2d_case(ShapeDraws& draws, const DrawnConvolution& c, std::int64_t batch) {
  const auto x = draws.operand({batch, c.channels, c.input[0], c.input[1]});
  const auto w = draws.operand({c.filters, c.channels / c.groups, c.window[0], c.window[1]});
  const auto b = draws.operand({c.filters});
  return {{x, w, b},
          [c](const Operands& in) {
            return at::conv2d(in[0], in[1], in[2], c.stride, c.padding, c.dilation, c.groups);
          },
          c.text()};
}

TEST(RandomShapes, Conv2d) {
  check_random_shapes({"conv2d", {&kernels::product_ladder()}}, [](ShapeDraws& draws) {
    const auto c = draw_convolution(draws);
    return conv2d_case(draws, c, draws.batch());
  });
}

TEST(RandomShapes, TransposedConv2d) {
  // LibTorch's bf16 kernels add the bias apart.
  check_random_shapes({"conv_transpose2d", {&kernels::product_ladder()}, 2}, [](ShapeDraws& draws) {
    const auto c = draw_convolution(draws);
    const std::array<std::int64_t, 2> extra{draws.between(0, c.stride[0] - 1),
                                            draws.between(0, c.stride[1] - 1)};
    // Far enough from nothing that the padding leaves an output.
    const auto x = draws.operand({draws.between(1, 4), c.channels, c.input[0] + 2 * c.padding[0],
                                  c.input[1] + 2 * c.padding[1]});
    const auto w = draws.operand({c.channels, c.filters / c.groups, c.window[0], c.window[1]});
    const auto b = draws.operand({c.filters});
    return ShapeCase{{x, w, b},
                     [c, extra](const Operands& in) {
                       return at::conv_transpose2d(in[0], in[1], in[2], c.stride, c.padding, extra,
                                                   c.groups, c.dilation);
                     },
                     c.text()};
  });
}

TEST(RandomShapes, DepthwiseConv2d) {
  const kernels::LadderBase* ladders[] = {&kernels::depthwise_forward_ladder(),
                                          &kernels::depthwise_backward_data_ladder(),
                                          &kernels::depthwise_backward_weights_ladder()};
  check_random_shapes({"depthwise conv2d", {ladders, ladders + 3}}, [](ShapeDraws& draws) {
    auto c = draw_convolution(draws);
    c.groups = c.channels = c.filters = draws.between(4, 70);
    const auto x = draws.operand({draws.between(1, 4), c.channels, c.input[0], c.input[1]});
    const auto w = draws.operand({c.filters, 1, c.window[0], c.window[1]});
    return ShapeCase{{x, w},
                     [c](const Operands& in) {
                       return at::conv2d(in[0], in[1], {}, c.stride, c.padding, c.dilation,
                                         c.groups);
                     },
                     c.text()};
  });
}

// No ladder: most of them are LibTorch's in fp32.
TEST(RandomShapes, GroupedConv2d) {
  check_random_shapes({"grouped conv2d", {}}, [](ShapeDraws& draws) {
    auto c = draw_convolution(draws);
    c.groups = draws.between(2, 9);
    const auto width = [&] {
      return draws.chance(10) ? draws.between(60, 130) : draws.between(1, 20);
    };
    c.channels = c.groups * width();
    c.filters = c.groups * width();
    return conv2d_case(draws, c, draws.between(1, 4));
  });
}

TEST(RandomShapes, Conv1d) {
  check_random_shapes({"conv1d", {&kernels::product_ladder()}}, [](ShapeDraws& draws) {
    const auto c = draw_convolution(draws);
    const auto x = draws.operand({draws.batch(), c.channels, c.input[0]});
    const auto w = draws.operand({c.filters, c.channels / c.groups, c.window[0]});
    return ShapeCase{{x, w},
                     [c](const Operands& in) {
                       return at::conv1d(in[0], in[1], {}, c.stride[0], c.padding[0], c.dilation[0],
                                         c.groups);
                     },
                     c.text()};
  });
}

TEST(RandomShapes, Linear) {
  // LibTorch adds the bias apart where the input is no matrix in memory.
  check_random_shapes({"linear", {&kernels::product_ladder()}, 2}, [](ShapeDraws& draws) {
    const std::int64_t in = draws.between(1, 300), out = draws.between(1, 150);
    return ShapeCase{{draws.operand({draws.batch(), draws.between(1, 30), in}),
                      draws.operand({out, in}), draws.operand({out})},
                     [](const Operands& in) { return at::linear(in[0], in[1], in[2]); }};
  });
}

TEST(RandomShapes, MatrixProducts) {
  check_random_shapes({"matmul", {&kernels::product_ladder()}}, [](ShapeDraws& draws) {
    const std::int64_t m = draws.between(1, 90), n = draws.between(1, 90),
                       k = draws.between(1, 200);
    const std::int64_t batch = draws.between(1, 5);
    if (draws.chance(50)) {
      return ShapeCase{{draws.operand({batch, m, k}), draws.operand({batch, k, n})},
                       [](const Operands& in) { return at::bmm(in[0], in[1]); }};
    }
    return ShapeCase{{draws.operand({m, k}), draws.operand({k, n})},
                     [](const Operands& in) { return at::mm(in[0], in[1]); }};
  });
}

TEST(RandomShapes, ProductsAddedToWithFactors) {
  // beta * C and the product are rounded as a sum; the factors are exact in half.
  check_random_shapes({"addmm", {&kernels::product_ladder()}, 2}, [](ShapeDraws& draws) {
    const std::int64_t m = draws.between(1, 90), n = draws.between(1, 90),
                       k = draws.between(1, 200);
    const double beta = static_cast<double>(draws.between(-2, 2)) / 2;
    const double alpha = static_cast<double>(draws.between(1, 4)) / 2;
    if (draws.chance(50)) {
      const std::int64_t batch = draws.between(1, 5);
      return ShapeCase{
          {draws.operand({batch, m, n}), draws.operand({batch, m, k}),
           draws.operand({batch, k, n})},
          [=](const Operands& in) { return at::baddbmm(in[0], in[1], in[2], beta, alpha); }};
    }
    const auto c = draws.chance(50) ? draws.operand({n}) : draws.operand({m, n});
    return ShapeCase{{c, draws.operand({m, k}), draws.operand({k, n})}, [=](const Operands& in) {
                       return at::addmm(in[0], in[1], in[2], beta, alpha);
                     }};
  });
}

TEST(RandomShapes, Attention) {
  // P or dS, the output that D is taken from, the result; dP - D cancels where few keys are seen.
  const kernels::LadderBase* ladders[] = {&kernels::attention_ladder(),
                                          &kernels::attention_backward_ladder()};
  check_random_shapes({"attention", {ladders, ladders + 2}, 3, true}, [](ShapeDraws& draws) {
    const std::int64_t batch = draws.between(1, 3), heads = draws.between(1, 3);
    const std::int64_t queries = draws.between(1, 90);
    const bool causal = draws.chance(40);
    const std::int64_t keys = causal ? queries : draws.between(1, 90), width = draws.between(1, 70);
    std::optional<Tensor> mask;
    if (!causal && draws.chance(50)) {
      mask = at::ones({batch, 1, 1, keys}, at::kBool);
      mask->slice(3, draws.between(1, keys)).slice(0, 0, 1).fill_(false);
    }
    return ShapeCase{
        {draws.operand({batch, heads, queries, width}), draws.operand({batch, heads, keys, width}),
         draws.operand({batch, heads, keys, width})},
        [=](const Operands& in) {
          return at::scaled_dot_product_attention(in[0], in[1], in[2], mask, 0, causal);
        },
        causal ? "causal"
        : mask ? "masked"
               : ""};
  });
}

}  // namespace
}  // namespace halftone
