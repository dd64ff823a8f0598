// A deep convolutional generative adversarial network for 28x28 grey images (Radford, Metz,
// Chintala 2016).
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>

#include <cstdint>
#include <memory>

#include "halftone/base/export.h"
#include "halftone/nn/batch_norm.h"
#include "halftone/nn/layers.h"
#include "halftone/precision/format.h"

namespace halftone::models {

struct DcganOptions {
  std::int64_t latent = 64;
  std::int64_t width = 32;     // maps of the largest layers; twice as many in the smaller ones
  std::uint64_t seed = 0;      // of the initial weights; LibTorch's own generator is not touched
  Format init = Format::fp32;  // in which they are drawn: fp32 or fp64
};

// A linear layer to 7x7, two fractionally strided convolutions; batch normalisation and ReLU
// between them, tanh at the end.
class HALFTONE_API DcganGenerator : public torch::nn::Module {
 public:
  explicit DcganGenerator(const DcganOptions& options);
  // (N, latent) -> (N, 1, 28, 28) in [-1, 1]. Throws Error for another shape.
  at::Tensor forward(const at::Tensor& latent);

 private:
  DcganOptions options_;
  nn::Linear fc_;
  nn::BatchNormReLU norm1_, norm2_;
  torch::nn::ConvTranspose2d up1_, up2_;
};

// Two strided convolutions with leaky ReLU (slope 0.2), batch normalisation behind the second, a
// linear layer.
class HALFTONE_API DcganDiscriminator : public torch::nn::Module {
 public:
  explicit DcganDiscriminator(const DcganOptions& options);
  // (N, 1, 28, 28) -> (N) in fp32 or fp64, above 0 where it takes the image for a real one. Throws
  // Error for another shape.
  at::Tensor forward(const at::Tensor& images);

 private:
  nn::Conv2d conv1_, conv2_;
  torch::nn::BatchNorm2d norm2_;
  nn::Linear fc_;
};

// Both, under "generator" and "discriminator". Weights normal with deviation 0.02, those of
// normalisations around 1, biases 0, as the paper has it.
class HALFTONE_API Dcgan : public torch::nn::Module {
 public:
  // Throws UsageError for options that make no sense.
  explicit Dcgan(const DcganOptions& options);

  const DcganOptions& options() const { return options_; }
  const std::shared_ptr<DcganGenerator>& generator() const { return generator_; }
  const std::shared_ptr<DcganDiscriminator>& discriminator() const { return discriminator_; }

 private:
  DcganOptions options_;
  std::shared_ptr<DcganGenerator> generator_;
  std::shared_ptr<DcganDiscriminator> discriminator_;
};

}  // namespace halftone::models
