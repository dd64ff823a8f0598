#include "tests/train/fault_cases.h"

#include <algorithm>
#include <limits>

#include "halftone/precision/autocast.h"

namespace halftone::faults {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

// By no operation, which would be watched.
void fill(const at::Tensor& parameter, double value) {
  std::fill_n(static_cast<float*>(parameter.data_ptr()), parameter.numel(),
              static_cast<float>(value));
}

void fill(const torch::nn::Linear& layer, double weight) {
  fill(layer->weight, weight);
  fill(layer->bias, 0);
}

// Of magnitude 1 to 2, with gradients.
at::Tensor about_one(Net& net, const at::Tensor& x) { return net.first(x).sigmoid() + 1; }

at::Tensor image(const at::Tensor& x) { return x.reshape({6, 2, 2, 2}); }

at::Tensor half_of(const at::Tensor& x) {
  const AutocastDisabled island;
  return x.to(torch::kHalf);
}

// A loss whose gradient is `slope` for each element of the output.
std::function<at::Tensor(const at::Tensor&)> sloped(double slope) {
  return [slope](const at::Tensor& output) {
    return (output.to(torch::kFloat) * slope).sum() * (1.0 / 65536);
  };
}

std::vector<Case> forward_nan() {
  return {
      {"sqrt, forward, NaN",
       [](Net& net, const at::Tensor& x) { return (-about_one(net, x)).sqrt(); },
       "after first.weight · sqrt", ""},
      {"log, forward, NaN",
       [](Net& net, const at::Tensor& x) { return (-about_one(net, x)).log(); },
       "after first.weight · log", "logarithm of zero or of a negative"},
      {"asin, forward, NaN",
       [](Net& net, const at::Tensor& x) { return (about_one(net, x) + 1).asin(); },
       "after first.weight · asin", ""},
      {"parameter, forward, NaN",
       [](Net& net, const at::Tensor& x) {
         fill(net.first->weight, kNan);
         return net.first(x);
       },
       "first.weight, read by addmm", "not finite before this step"},
      {"batch, forward, NaN",
       [](Net& net, const at::Tensor& x) {
         x.mutable_data_ptr<float>()[3] = kNan;
         return net.first(x);
       },
       "batch input, read by addmm", "the data hold it"},
      {"batch, forward, +inf, cast",
       [](Net& net, const at::Tensor& x) {
         x.mutable_data_ptr<float>()[3] = kInf;
         return net.first(x);
       },
       "batch input, read by _to_copy", "the data hold it", "fp16"},
      {"softmax of a masked row, forward, NaN",
       [](Net& net, const at::Tensor& x) {
         return net.first(x).masked_fill(torch::ones({8}, torch::kBool), -kInf).softmax(1);
       },
       "after first.weight · masked_fill", "a row of only -inf"},
      {"a mask that softmax takes away, then sqrt, forward, NaN",
       [](Net& net, const at::Tensor& x) {
         const at::Tensor mask = torch::arange(8) > 4;
         return (net.first(x).masked_fill(mask, -kInf).softmax(1) - 2).sqrt();
       },
       "after first.weight · sqrt", ""},
      {"in place, forward, NaN",
       [](Net& net, const at::Tensor& x) {
         return (-about_one(net, x)).detach().sqrt_() * net.gain;
       },
       "after first.weight · sqrt_", ""},
  };
}

std::vector<Case> forward_inf() {
  return {
      {"exp, forward, +inf",
       [](Net& net, const at::Tensor& x) { return (about_one(net, x) * 100).exp(); },
       "after first.weight · exp", ""},
      {"div, forward, +inf",
       [](Net& net, const at::Tensor& x) { return about_one(net, x) / torch::zeros({8}); },
       "after first.weight · div", "division by a tiny number"},
      {"reciprocal, forward, +inf",
       [](Net& net, const at::Tensor& x) { return (about_one(net, x) - 1).floor().reciprocal(); },
       "after first.weight · reciprocal", "division by a tiny number"},
      {"mul with a parameter, forward, +inf",
       [](Net& net, const at::Tensor& x) {
         fill(net.gain, 3e38);
         return about_one(net, x) * net.gain * 2;
       },
       "gain · mul", ""},
      {"pow, forward, +inf",
       [](Net& net, const at::Tensor& x) { return (about_one(net, x) * 10).pow(60); },
       "after first.weight · pow", ""},
      {"addmm, forward, +inf",
       [](Net& net, const at::Tensor& x) {
         fill(net.first, 3e38);
         return net.first(x.abs() + 1);
       },
       "first.weight · addmm", ""},
      {"convolution, forward, +inf",
       [](Net& net, const at::Tensor& x) {
         fill(net.conv->weight, 3e38);
         return net.conv(image(x.abs() + 1));
       },
       "conv.weight · convolution", ""},
      {"sum, forward, +inf",
       [](Net& net, const at::Tensor& x) { return (about_one(net, x) * 1e38).sum(); },
       "after first.weight · sum", ""},
      {"prod, forward, +inf",
       [](Net& net, const at::Tensor& x) { return (about_one(net, x) * 1000).prod(); },
       "after first.weight · prod", ""},
      {"the second of two, forward, +inf",
       [](Net& net, const at::Tensor& x) { return (about_one(net, x).exp() * 100).exp(); },
       "after first.weight · exp #2", ""},
      {"loss, forward, -inf", [](Net& net, const at::Tensor& x) { return net.first(x); },
       "loss · log", "logarithm of zero", "fp32", 1, "",
       [](const at::Tensor& output) { return (output - output).log().mean(); }},
  };
}

std::vector<Case> forward_overflow() {
  return {
      {"exp in half, forward, overflow",
       [](Net& net, const at::Tensor& x) {
         const AutocastDisabled island;
         return (about_one(net, x).to(torch::kHalf) * 12).exp();
       },
       "after first.weight · exp", "exp in fp16 above 11.09"},
      {"cast for a layer, forward, overflow",
       [](Net& net, const at::Tensor& x) {
         return net.last(about_one(net, x).to(torch::kFloat) * 1e5);
       },
       "last.weight · addmm (_to_copy)", "does not fit fp16 (65504): keep this layer", "fp16"},
      {"addmm, forward, overflow",
       [](Net& net, const at::Tensor& x) {
         fill(net.first, 300);
         return net.first(x.abs() + 300);
       },
       "first.weight · addmm", "match = \"first.weight\"", "fp16"},
      {"convolution, forward, overflow",
       [](Net& net, const at::Tensor& x) {
         fill(net.conv->weight, 300);
         return net.conv(image(x.abs() + 300));
       },
       "conv.weight · convolution", "sums of products beyond 65504", "fp16"},
      {"sum in half, forward, overflow",
       [](Net& net, const at::Tensor& x) {
         const AutocastDisabled island;
         return (about_one(net, x).to(torch::kHalf) * 1e4).sum();
       },
       "after first.weight · sum", "a sum in fp16"},
  };
}

std::vector<Case> backward_inf() {
  return {
      {"sqrt, backward, +inf",
       [](Net& net, const at::Tensor& x) { return (net.first(x) * 0).sqrt(); },
       "after first.weight · sqrt backward (div)", "derivative of a root"},
      {"pow, backward, +inf",
       [](Net& net, const at::Tensor& x) { return (net.first(x) * 0).pow(0.5); },
       "after first.weight · pow backward (pow)", "derivative of a root"},
      {"log, backward, +inf",
       [](Net& net, const at::Tensor& x) { return (about_one(net, x) * 1e-38).log() * 1e5; },
       "after first.weight · log backward (div)", "derivative of a root"},
      {"where around sqrt, backward, NaN",
       [](Net& net, const at::Tensor& x) {
         const at::Tensor h = net.first(x) * 0;
         return torch::where(h > 1, h.sqrt(), h);
       },
       "after first.weight · sqrt backward (div)", "derivative of a root"},
      {"asin, backward, +inf",
       [](Net& net, const at::Tensor& x) { return (net.first(x) * 0 + 1).asin(); },
       "after first.weight · asin backward (rsqrt)", "derivative of a root"},
      {"binary cross-entropy in half, backward, +inf",
       [](Net& net, const at::Tensor& x) { return net.first(x) * 0 + 1; },
       "loss · binary_cross_entropy_backward, gradient of input", "with_logits", "fp32", 1, "",
       [](const at::Tensor& output) {
         return torch::binary_cross_entropy(output.to(torch::kHalf),
                                            torch::zeros_like(output, torch::kHalf));
       }},
  };
}

std::vector<Case> backward_overflow() {
  const double scale = 65536;
  return {
      {"cast of the gradient, backward, overflow by scale",
       [](Net& net, const at::Tensor& x) { return net.first(x); },
       "loss · _to_copy backward (_to_copy)", "the loss scale 65536 is too high", "fp16", scale, "",
       sloped(1e6)},
      {"cross-entropy, backward, overflow by scale",
       [](Net& net, const at::Tensor& x) { return net.first(x); },
       "loss · _to_copy backward (_to_copy)", "the loss scale 65536 is too high", "fp16", scale, "",
       [](const at::Tensor& output) {
         return torch::nn::functional::cross_entropy(output, torch::zeros({6}, torch::kLong)) * 1e3;
       }},
      {"addmm, backward, overflow by scale, to the input",
       [](Net& net, const at::Tensor& x) {
         fill(net.last, 2);
         return net.last(net.first(x) * 1e-3);
       },
       "last.weight · addmm backward (mm), gradient of input", "the loss scale 65536 is too high",
       "fp16", scale, "", sloped(3e4)},
      {"addmm, backward, overflow by scale, to the weight",
       [](Net& net, const at::Tensor& x) {
         fill(net.last, 1e-3);
         return net.last(about_one(net, x) * 10);
       },
       "last.weight · addmm backward (mm), gradient of weight", "the loss scale 65536 is too high",
       "fp16", scale, "", sloped(3e4)},
      {"addmm, backward, overflow by scale, to the bias",
       [](Net& net, const at::Tensor& x) {
         fill(net.last, 1e-3);
         return net.last(about_one(net, x) * 1e-3);
       },
       "last.weight · addmm backward (sum)", "the loss scale 65536 is too high", "fp16", scale, "",
       sloped(3e4)},
      {"convolution, backward, overflow by scale, to the input",
       [](Net& net, const at::Tensor& x) {
         fill(net.conv->weight, 2);
         return net.conv(image(net.first(x) * 1e-3));
       },
       "conv.weight · convolution_backward, gradient of input", "the loss scale 65536 is too high",
       "fp16", scale, "", sloped(3e4)},
      {"convolution, backward, overflow by scale, to the weight",
       [](Net& net, const at::Tensor& x) {
         fill(net.conv->weight, 1e-3);
         return net.conv(image(about_one(net, x) * 10));
       },
       "conv.weight · convolution_backward, gradient of weight", "the loss scale 65536 is too high",
       "fp16", scale, "", sloped(3e4)},
      {"fused batch norm, backward, overflow by scale",
       [](Net& net, const at::Tensor& x) { return net.norm(half_of(image(net.first(x) * 1e-3))); },
       "norm.weight · batch_norm_relu_backward, gradient of input",
       "the loss scale 65536 is too high", "fp16", scale, "", sloped(3e4)},
  };
}

std::vector<Case> underflow() {
  return {
      {"square, forward, underflow to zero, then rsqrt",
       [](Net& net, const at::Tensor& x) {
         const AutocastDisabled island;
         const at::Tensor small = about_one(net, x).to(torch::kHalf) * 1e-4;
         return small * (small * small).mean(1, true).rsqrt();
       },
       "after first.weight · rsqrt", "underflowed; compute it in fp32", "fp32", 1,
       "after first.weight · mul #2"},
      {"softmax, forward, underflow to zero, then log",
       [](Net& net, const at::Tensor& x) {
         return (about_one(net, x) * torch::tensor({1., 1., 1., 1., 1., 1., 1., -200.}))
             .softmax(1)
             .log();
       },
       "after first.weight · log", "underflowed", "fp32", 1, "after first.weight · _softmax"},
      {"exp, forward, underflow to zero, then reciprocal",
       [](Net& net, const at::Tensor& x) { return (about_one(net, x) * -200).exp().reciprocal(); },
       "after first.weight · reciprocal", "underflowed", "fp32", 1, "after first.weight · exp"},
      {"cast, forward, underflow to zero, then div_",
       [](Net& net, const at::Tensor& x) {
         const AutocastDisabled island;
         return 1 / (about_one(net, x) * 1e-9).to(torch::kHalf);
       },
       "after first.weight · div_", "underflowed", "fp32", 1, "after first.weight · _to_copy"},
      {"mul, backward, underflow to zero, then div in a hook",
       [](Net& net, const at::Tensor& x) {
         const at::Tensor h = net.first(x);
         h.register_hook([](const at::Tensor& gradient) { return gradient / gradient.max(); });
         return h * 1e-30 * 1e-30;
       },
       "after first.weight · mul backward (div)", "", "fp32", 1,
       "after first.weight · mul backward (mul)",
       [](const at::Tensor& output) { return output.sum(); }},
  };
}

}  // namespace

Net::Net() {
  torch::manual_seed(3);
  first = register_module("first", torch::nn::Linear(8, 8));
  last = register_module("last", torch::nn::Linear(8, 4));
  conv = register_module("conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(2, 2, 3).padding(1)));
  norm = register_module("norm", nn::BatchNormReLU(2));
  gain = register_parameter("gain", torch::ones({8}));
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all = [] {
    std::vector<Case> list;
    for (const auto& group : {forward_nan(), forward_inf(), forward_overflow(), backward_inf(),
                              backward_overflow(), underflow()}) {
      list.insert(list.end(), group.begin(), group.end());
    }
    return list;
  }();
  return all;
}

}  // namespace halftone::faults
