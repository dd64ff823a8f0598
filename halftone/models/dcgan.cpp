#include "halftone/models/dcgan.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/leaky_relu.h>

#include <sstream>

#include "halftone/base/error.h"
#include "halftone/ops/generator.h"
#include "halftone/optim/init.h"

namespace halftone::models {
namespace {

constexpr std::int64_t kGanSide = 28, kGanSmallest = 7;
constexpr double kGanDeviation = 0.02, kGanSlope = 0.2;

// Doubles the side, or halves it.
template <class Options>
Options gan_conv(std::int64_t in, std::int64_t out) {
  return Options(in, out, 4).stride(2).padding(1).bias(false);
}

at::Tensor gan_input(const at::Tensor& x, at::IntArrayRef shape, const at::Tensor& weight,
                     const char* what) {
  if (x.dim() != static_cast<std::int64_t>(shape.size()) + 1 || x.sizes().slice(1) != shape ||
      !x.is_floating_point()) {
    std::ostringstream given, expected;
    given << x.sizes() << " of " << x.scalar_type();
    expected << "N times " << shape << ", floating point";
    throw Error(given.str(), expected.str(), what);
  }
  return x.to(weight.scalar_type());
}

const DcganOptions& checked(const DcganOptions& o) {
  if (o.latent < 1) throw UsageError(std::to_string(o.latent), "1 or more", "dcgan, latent");
  if (o.width < 1) throw UsageError(std::to_string(o.width), "1 or more", "dcgan, width");
  return o;
}

void initialise_dcgan(torch::nn::Module& module, const DcganOptions& o) {
  const init::Options how{o.init, at::make_generator<at::CPUGeneratorImpl>(o.seed)};
  for (auto& item : module.named_parameters()) {
    const bool norm = item.key().find("norm") != std::string::npos;
    if (item.value().dim() >= 2) {
      init::normal_(item.value(), kGanDeviation, how);
    } else if (norm && item.key().ends_with("weight")) {
      init::normal_(item.value(), kGanDeviation, how);
      item.value().detach().add_(1);
    } else {
      item.value().detach().zero_();
    }
  }
}

}  // namespace

DcganGenerator::DcganGenerator(const DcganOptions& o)
    : options_(o),
      fc_(register_module("fc", nn::Linear(torch::nn::LinearOptions(
                                               o.latent, 2 * o.width * kGanSmallest * kGanSmallest)
                                               .bias(false)))),
      norm1_(register_module("norm1", nn::BatchNormReLU(2 * o.width))),
      norm2_(register_module("norm2", nn::BatchNormReLU(o.width))),
      up1_(register_module("up1",
                           torch::nn::ConvTranspose2d(
                               gan_conv<torch::nn::ConvTranspose2dOptions>(2 * o.width, o.width)))),
      up2_(register_module(
          "up2", torch::nn::ConvTranspose2d(
                     gan_conv<torch::nn::ConvTranspose2dOptions>(o.width, 1).bias(true)))) {}

at::Tensor DcganGenerator::forward(const at::Tensor& latent) {
  const at::Tensor z = gan_input(latent, {options_.latent}, fc_->weight, "dcgan generator");
  const at::Tensor small = fc_(z).view({z.size(0), 2 * options_.width, kGanSmallest, kGanSmallest});
  return up2_(norm2_(up1_(norm1_(small)))).tanh();
}

DcganDiscriminator::DcganDiscriminator(const DcganOptions& o)
    : conv1_(register_module(
          "conv1", nn::Conv2d(gan_conv<torch::nn::Conv2dOptions>(1, o.width).bias(true)))),
      conv2_(register_module("conv2",
                             nn::Conv2d(gan_conv<torch::nn::Conv2dOptions>(o.width, 2 * o.width)))),
      norm2_(register_module("norm2", torch::nn::BatchNorm2d(2 * o.width))),
      fc_(register_module("fc", nn::Linear(2 * o.width * kGanSmallest * kGanSmallest, 1))) {}

at::Tensor DcganDiscriminator::forward(const at::Tensor& images) {
  const at::Tensor x =
      gan_input(images, {1, kGanSide, kGanSide}, conv1_->weight, "dcgan discriminator");
  const at::Tensor first = at::leaky_relu(conv1_(x), kGanSlope);
  const at::Tensor second = at::leaky_relu(norm2_(conv2_(first)), kGanSlope);
  const at::Tensor score = fc_(second.flatten(1)).squeeze(1);
  return score.scalar_type() == at::kDouble ? score : score.to(at::kFloat);
}

Dcgan::Dcgan(const DcganOptions& options) : options_(checked(options)) {
  const GeneratorKept kept;  // LibTorch's modules draw from it when they are made; that is replaced
  generator_ = register_module("generator", std::make_shared<DcganGenerator>(options));
  discriminator_ = register_module("discriminator", std::make_shared<DcganDiscriminator>(options));
  initialise_dcgan(*this, options_);
}

}  // namespace halftone::models
