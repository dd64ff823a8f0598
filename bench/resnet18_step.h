// A training step of ResNet-18 with its CIFAR stem, which several benchmarks measure.
#pragma once

#include <torch/torch.h>

#include <memory>

#include "halftone/data/batch.h"
#include "halftone/models/network.h"
#include "halftone/optim/sgd.h"
#include "halftone/precision/apply.h"
#include "halftone/train/trainer.h"

namespace halftone {

constexpr std::int64_t kImageSide = 32, kImageChannels = 3, kImageClasses = 10;

// SGD with momentum and cross-entropy; `policy` applied.
inline TrainerParts resnet18_parts(const Policy& policy) {
  TrainerParts parts;
  auto network = models::make_network({.name = "resnet18",
                                       .channels = kImageChannels,
                                       .height = kImageSide,
                                       .width = kImageSide,
                                       .classes = kImageClasses,
                                       .stem = models::Stem::cifar,
                                       .seed = 1});
  halftone::apply(policy, *network);
  parts.module = network;
  parts.forward = [network](const at::Tensor& x) { return network->forward(x); };
  parts.loss = [](const at::Tensor& output, const at::Tensor& target) {
    return at::cross_entropy_loss(output, target);
  };
  parts.optimizer = std::make_shared<optim::SGD>(
      network->parameters(), optim::SGDOptions{.lr = 0.01, .momentum = 0.9, .weight_decay = 5e-4});
  parts.policy = policy;
  return parts;
}

inline data::Batch random_images(std::int64_t size) {
  data::Batch batch;
  batch.input = at::randn({size, kImageChannels, kImageSide, kImageSide})
                    .contiguous(at::MemoryFormat::ChannelsLast);
  batch.target = at::randint(kImageClasses, {size}, at::kLong);
  for (std::int64_t i = 0; i < size; ++i) batch.indices.push_back(i);
  return batch;
}

}  // namespace halftone
