#include "halftone/models/resnet.h"

#include <string>

namespace halftone::models {
namespace {

// The projection of a block's input, or null where the identity fits.
torch::nn::Sequential projection(std::int64_t in, std::int64_t out, std::int64_t stride) {
  if (in == out && stride == 1) return nullptr;
  return torch::nn::Sequential(conv(in, out, 1, stride), torch::nn::BatchNorm2d(out));
}

at::Tensor shortcut(torch::nn::Sequential& downsample, const at::Tensor& x) {
  return downsample.is_empty() ? x : downsample->forward(x);
}

}  // namespace

BasicBlockImpl::BasicBlockImpl(std::int64_t in, std::int64_t width, std::int64_t stride) {
  conv1 = register_module("conv1", conv(in, width, 3, stride));
  bn1 = register_module("bn1", nn::BatchNormReLU(width));
  conv2 = register_module("conv2", conv(width, width, 3));
  bn2 = register_module("bn2", nn::BatchNormAddReLU(width));
  downsample = projection(in, width, stride);
  if (!downsample.is_empty()) register_module("downsample", downsample);
}

at::Tensor BasicBlockImpl::forward(const at::Tensor& x) {
  const auto h = bn1(conv1(x));
  return bn2(conv2(h), shortcut(downsample, x));
}

BottleneckImpl::BottleneckImpl(std::int64_t in, std::int64_t width, std::int64_t stride) {
  const auto out = width * kExpansion;
  conv1 = register_module("conv1", conv(in, width, 1));
  bn1 = register_module("bn1", nn::BatchNormReLU(width));
  conv2 = register_module("conv2", conv(width, width, 3, stride));
  bn2 = register_module("bn2", nn::BatchNormReLU(width));
  conv3 = register_module("conv3", conv(width, out, 1));
  bn3 = register_module("bn3", nn::BatchNormAddReLU(out));
  downsample = projection(in, out, stride);
  if (!downsample.is_empty()) register_module("downsample", downsample);
}

at::Tensor BottleneckImpl::forward(const at::Tensor& x) {
  const auto h = bn2(conv2(bn1(conv1(x))));
  return bn3(conv3(h), shortcut(downsample, x));
}

template <class Block>
ResNet<Block>::ResNet(const NetworkOptions& options, std::array<int, 4> blocks) : Network(options) {
  constexpr std::int64_t kStemWidth = 64;
  conv1_ = register_module("conv1", options.stem == Stem::cifar
                                        ? conv(options.channels, kStemWidth, 3)
                                        : conv(options.channels, kStemWidth, 7, 2));
  bn1_ = register_module("bn1", nn::BatchNormReLU(kStemWidth));
  std::int64_t in = kStemWidth;
  for (std::size_t stage = 0; stage < stages_.size(); ++stage) {
    const std::int64_t width = kStemWidth << stage;
    stages_[stage] = torch::nn::Sequential();
    for (int block = 0; block < blocks[stage]; ++block) {
      const std::int64_t stride = block == 0 && stage > 0 ? 2 : 1;
      stages_[stage]->push_back(std::make_shared<Block>(in, width, stride));
      in = width * Block::kExpansion;
    }
    register_module("layer" + std::to_string(stage + 1), stages_[stage]);
  }
  if (options.classes > 0) fc_ = register_module("fc", nn::Linear(in, options.classes));
}

template <class Block>
std::array<at::Tensor, 4> ResNet<Block>::features(const at::Tensor& x) {
  auto h = bn1_(conv1_(prepare(x, conv1_->weight, total_stride())));
  if (options().stem == Stem::imagenet) h = stem_pool(h);
  std::array<at::Tensor, 4> maps;
  for (std::size_t stage = 0; stage < stages_.size(); ++stage) {
    bool shared = stage > 0 && options().classes == 0;  // h: somebody reads the map, too
    for (const auto& block : stages_[stage]->children()) {
      const auto run = [block](const at::Tensor& in) {
        return block->template as<Block>()->forward(in);
      };
      // Gradients of one tensor from inside and outside of a block would be added up in another
      // order.
      h = shared ? run(h) : run_block({block}, h, run);
      shared = false;
    }
    maps[stage] = h;
  }
  return maps;
}

template <class Block>
at::Tensor ResNet<Block>::forward(const at::Tensor& x) {
  return fc_(global_mean(features(x).back()));
}

template class ResNet<BasicBlockImpl>;
template class ResNet<BottleneckImpl>;

}  // namespace halftone::models
