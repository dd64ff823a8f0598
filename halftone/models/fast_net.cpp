#include "halftone/models/fast_net.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/max_pool2d.h>

#include <algorithm>

#include "halftone/optim/init.h"

namespace halftone::models {
namespace {

constexpr std::int64_t kPatch = 2;  // side of the whitening convolution
constexpr double kWhiteningEps = 5e-4;
constexpr double kLogitScale = 1.0 / 9;
constexpr double kNormMomentum = 0.4;  // of a batch: 0.6 of the running statistics stay
constexpr double kNormEps = 1e-12;

torch::nn::BatchNorm2d bias_norm(std::int64_t width) {
  torch::nn::BatchNorm2d norm(
      torch::nn::BatchNorm2dOptions(width).momentum(kNormMomentum).eps(kNormEps));
  norm->weight.set_requires_grad(false);
  return norm;
}

// Unit o passes on channel o, for as many as there are.
void pass_on(at::Tensor weight) {
  const std::int64_t channels = weight.size(1), centre = weight.size(2) / 2;
  const at::Tensor identity = weight.detach().narrow(0, 0, std::min(channels, weight.size(0)));
  identity.zero_();
  identity.select(3, centre).select(2, centre).fill_diagonal_(1);
}

// (C * 4, C * 4) in fp64, over all patches of all images; channel, row, column as in a weight.
at::Tensor patch_covariance(const at::Tensor& images) {
  const at::Tensor patches = images.unfold(2, kPatch, 1).unfold(3, kPatch, 1);
  const at::Tensor rows =
      patches.permute({0, 2, 3, 1, 4, 5}).flatten(3).flatten(0, 2).to(at::kDouble);
  return rows.t().mm(rows) / rows.size(0);
}

}  // namespace

FastBlockImpl::FastBlockImpl(std::int64_t in, std::int64_t width) {
  conv1 = register_module("conv1", torch::nn::Conv2d(conv_options(in, width, 3)));
  norm1 = register_module("norm1", bias_norm(width));
  conv2 = register_module("conv2", torch::nn::Conv2d(conv_options(width, width, 3)));
  norm2 = register_module("norm2", bias_norm(width));
}

at::Tensor FastBlockImpl::forward(const at::Tensor& x) {
  const at::Tensor h = at::gelu(norm1(pool_by_two(conv1(x), /*round_up=*/false)));
  return at::gelu(norm2(conv2(h)));
}

FastNet::FastNet(const NetworkOptions& options) : Network(options) {
  const std::int64_t width = 2 * kPatch * kPatch * options.channels;
  whiten_ = register_module(
      "whiten", torch::nn::Conv2d(torch::nn::Conv2dOptions(options.channels, width, kPatch)));
  whiten_->weight.set_requires_grad(false);
  block1_ = register_module("block1", FastBlock(width, 64));
  block2_ = register_module("block2", FastBlock(64, 256));
  block3_ = register_module("block3", FastBlock(256, 256));
  fc_ =
      register_module("fc", nn::Linear(torch::nn::LinearOptions(256, options.classes).bias(false)));
}

at::Tensor FastNet::forward(const at::Tensor& x) {
  at::Tensor h = at::gelu(whiten_(prepare(x, whiten_->weight)));
  h = block3_(block2_(block1_(h)));
  h = at::max_pool2d(h, {h.size(2), h.size(3)}).flatten(1);
  return fc_(h) * kLogitScale;
}

void FastNet::initialise(std::uint64_t seed, Format format) {
  initialise_layers(*this, seed, format);
  const init::Options how{format, at::make_generator<at::CPUGeneratorImpl>(~seed)};
  for (const FastBlock& block : {block1_, block2_, block3_}) {
    for (const torch::nn::Conv2d& each : {block->conv1, block->conv2}) {
      init::kaiming_uniform_(each->weight, init::Fan::in, init::leaky_relu_gain(kLibTorchSlope),
                             how);
      pass_on(each->weight);
    }
  }
}

void FastNet::whiten(const at::Tensor& images) {
  const at::NoGradGuard no_grad;
  const auto [values, vectors] = at::linalg_eigh(patch_covariance(images));
  // A vector's sign is the library's choice: the largest of its numbers is made positive.
  const at::Tensor largest = vectors.gather(0, vectors.abs().argmax(0, /*keepdim=*/true));
  const at::Tensor scaled = vectors * largest.sign() / (values + kWhiteningEps).sqrt();
  const at::Tensor filters =
      scaled.t().flip(0).reshape_as(whiten_->weight.narrow(0, 0, whiten_->weight.size(0) / 2));
  whiten_->weight.copy_(at::cat({filters, -filters}));
}

void FastNet::train_whitening_bias(bool trained) { whiten_->bias.set_requires_grad(trained); }

}  // namespace halftone::models
