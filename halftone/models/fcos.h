// FCOS: one-stage detection without anchors (Tian, Shen, Chen, He, "FCOS: fully convolutional
// one-stage object detection", ICCV 2019) on ResNet-18 and a feature pyramid (Lin et al., CVPR
// 2017) of strides 8, 16 and 32.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/normalization.h>

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/models/network.h"
#include "halftone/nn/layers.h"
#include "halftone/precision/format.h"

namespace halftone::models {

struct FcosOptions {
  std::int64_t classes = 1;
  std::int64_t width = 128;    // maps of the pyramid and the heads; a multiple of 8
  std::int64_t depth = 2;      // convolutions of each of the two towers
  std::uint64_t seed = 0;      // of the initial weights; LibTorch's own generator is not touched
  Format init = Format::fp32;  // in which they are drawn: fp32 or fp64
};

// One prediction per location, the finest level first, row by row; L of them in all.
struct FcosOutput {
  at::Tensor logits;       // (N, L, classes), fp32 (fp64 of an fp64 network)
  at::Tensor distances;    // (N, L, 4), of left, top, right and bottom edge in pixels, above 0
  at::Tensor centredness;  // (N, L), logits
  at::Tensor locations;    // (L, 2), x and y in pixels
  at::Tensor strides;      // (L), fp32
};

class HALFTONE_API Fcos : public torch::nn::Module {
 public:
  static constexpr std::array<std::int64_t, 3> kStrides = {8, 16, 32};

  // Throws UsageError for options that make no sense.
  explicit Fcos(const FcosOptions& options);

  // x: (N, 3, H, W), floating point; brought to the weights' format where no autocast is active.
  // Throws Error for another shape. Thread-safe in evaluation mode.
  FcosOutput forward(const at::Tensor& x);

  const FcosOptions& options() const { return options_; }

 private:
  struct Tower;
  std::array<at::Tensor, 3> pyramid(const at::Tensor& x);

  FcosOptions options_;
  std::shared_ptr<Network> backbone_;
  torch::nn::ModuleList lateral_, smooth_;
  std::shared_ptr<Tower> class_tower_, box_tower_;
  nn::Conv2d class_head_{nullptr}, box_head_{nullptr}, centre_head_{nullptr};
  at::Tensor scales_;  // (3): of the distances of each level
};

}  // namespace halftone::models
