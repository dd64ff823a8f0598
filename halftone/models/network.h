// The networks that Halftone brings: image classifiers from an MLP to ResNet-50.
#pragma once

#include <torch/nn/module.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/precision/format.h"

namespace halftone::models {

// How a network begins. cifar: a 3x3 convolution at full resolution, for small images (He et al.
// 2016, 4.2). imagenet: a 7x7 convolution with stride 2 and a 3x3 maximum pool with stride 2 (3.3).
// mlp and fast have no stem: both give the same network.
enum class Stem { cifar, imagenet };

struct NetworkOptions {
  std::string name = "resnet18";  // one of network_names()
  std::int64_t channels = 3, height = 32, width = 32, classes = 10;
  Stem stem = Stem::cifar;
  std::uint64_t seed = 0;      // of the initial weights; LibTorch's own generator is not touched
  Format init = Format::fp32;  // in which they are drawn: fp32 or fp64
};

// An image classifier. Weights and activations are channels-last.
class HALFTONE_API Network : public torch::nn::Module {
 public:
  // x: (N, C, H, W) as the options say (resnet* and mobilenet-v2: any larger H, W too), floating
  // point, any memory format; brought to the weights' format where no autocast is active. Returns
  // logits (N, classes). Throws Error for a shape that does not fit. Thread-safe in evaluation
  // mode.
  virtual at::Tensor forward(const at::Tensor& x) = 0;

  // New weights that depend on seed and format alone; see make_network().
  virtual void initialise(std::uint64_t seed, Format format);

  const NetworkOptions& options() const { return options_; }
  std::int64_t parameter_count() const;

 protected:
  explicit Network(NetworkOptions options) : options_(std::move(options)) {}

  // Checks x and brings it to channels-last. weight: the network's first. total_stride: of the
  // last maps, rounded up, where larger images are allowed too; 0: only the options' size.
  at::Tensor prepare(const at::Tensor& x, const at::Tensor& weight,
                     std::int64_t total_stride = 0) const;

  // Of the ResNets and MobileNetV2: three halvings after the stem, which itself divides by 1 or 4.
  std::int64_t total_stride() const { return options_.stem == Stem::cifar ? 8 : 32; }

 private:
  NetworkOptions options_;
};

// Builds a network with weights that depend on name, shape, seed and init format alone:
// convolutions Kaiming normal over fan out, linear layers as LibTorch's own. Throws UsageError for
// an unknown name (with the nearest) and for a shape that the network can't take.
HALFTONE_API std::shared_ptr<Network> make_network(const NetworkOptions& options);

// In order of size.
HALFTONE_API std::vector<std::string> network_names();

}  // namespace halftone::models
