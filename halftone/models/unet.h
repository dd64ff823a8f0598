// U-Net (Ronneberger, Fischer, Brox, "U-Net: convolutional networks for biomedical image
// segmentation", MICCAI 2015) with batch normalisation, padded convolutions and bilinear
// upsampling.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/container/modulelist.h>

#include <cstdint>

#include "halftone/base/export.h"
#include "halftone/models/block_network.h"
#include "halftone/nn/layers.h"
#include "halftone/precision/format.h"

namespace halftone::models {

struct UNetOptions {
  std::int64_t channels = 3, classes = 2;
  std::int64_t width = 32;     // maps at full resolution; twice as many after each halving
  std::int64_t levels = 4;     // resolutions, the full one included
  std::uint64_t seed = 0;      // of the initial weights; LibTorch's own generator is not touched
  Format init = Format::fp32;  // in which they are drawn: fp32 or fp64
};

// Each level is two 3x3 convolutions ("down.0", "down.1", …); on the way back a 1x1 convolution
// halves the maps of the level below, they are upsampled to the size of the level's own, which they
// join, and two 3x3 convolutions follow ("reduce.i", "up.i"). Weights and activations are
// channels-last. A level's way down is a block of the BlockNetwork, and so is its way back.
class HALFTONE_API UNet : public torch::nn::Module, public BlockNetwork {
 public:
  // Throws UsageError for options that make no sense.
  explicit UNet(const UNetOptions& options);

  // x: (N, C, H, W), any H and W, floating point; brought to the weights' format where no autocast
  // is active -> logits (N, classes, H, W). Throws Error for another shape. Thread-safe in
  // evaluation mode.
  at::Tensor forward(const at::Tensor& x);

  const UNetOptions& options() const { return options_; }

 private:
  UNetOptions options_;
  torch::nn::ModuleList down_, reduce_, up_;
  nn::Conv2d head_{nullptr};
};

}  // namespace halftone::models
