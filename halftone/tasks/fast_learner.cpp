#include "halftone/tasks/fast_learner.h"

#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/reflection_pad2d.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace halftone::tasks {
namespace {

constexpr std::int64_t kBatch = 1024;
constexpr double kMomentum = 0.85;
// Rate and decay are given for 1024 examples and for steps as long as gradients: Nesterov's
// momentum makes the steps of constant gradients longer by this factor.
constexpr double kStepLength = 1 + 1 / (1 - kMomentum);
constexpr double kRate = 11.5;
constexpr double kDecay = 0.0153;
constexpr double kNormBiasRate = 64;
constexpr double kSmoothing = 0.2;
constexpr std::int64_t kWhiteningImages = 5000;
constexpr std::int64_t kWhiteningBiasEpochs = 3;

}  // namespace

TaskDefaults fast_defaults() {
  Recipe recipe;
  recipe.momentum = kMomentum;
  // From 0.2 of the peak, which 23 % of the steps reach, to 0.07 of it.
  recipe.cycle = {.rise = 0.23, .div_factor = 5, .final_div_factor = 0.2 / 0.07, .linear = true};
  recipe.norm_bias_rate = kNormBiasRate;
  recipe.lookahead = {.every = 5, .decay = std::pow(0.95, 5)};
  return {10, kBatch, kRate / kStepLength, kDecay / kRate, recipe};
}

data::Augmentation fast_augmentation(data::Augmentation normalise) {
  normalise.crop_padding = 2;
  normalise.padding = data::Padding::reflect;
  normalise.horizontal_flip = normalise.alternating_flip = true;
  return normalise;
}

at::Tensor FastLearner::loss(const data::Batch& batch) {
  const at::Tensor output = fast_->forward(batch.input);
  RECORD_USER_SCOPE("loss");
  return at::cross_entropy_loss(output, batch.target, /*weight=*/{}, at::Reduction::Mean,
                                /*ignore_index=*/-100, kSmoothing);
}

void FastLearner::initialise(const data::ImageBatches& training) {
  const std::int64_t count = std::min(kWhiteningImages, training.size());
  std::vector<std::int64_t> chosen;  // from all over: the data may be sorted by class
  for (std::int64_t i = 0; i < count; ++i) chosen.push_back(i * training.size() / count);
  fast_->whiten(training.build(chosen, 0, 0).input);
}

void FastLearner::begin_epoch(std::int64_t epoch, bool last) {
  fast_->train_whitening_bias(epoch < kWhiteningBiasEpochs);
  several_views_ = last;
}

at::Tensor FastLearner::logits(const at::Tensor& input) {
  if (!several_views_) return ImageLearner::logits(input);
  const auto both_ways = [this](const at::Tensor& view) {
    return (ImageLearner::logits(view) + ImageLearner::logits(view.flip({3}))) / 2;
  };
  const at::Tensor padded = at::reflection_pad2d(input, {1, 1, 1, 1});
  const auto moved = [&](std::int64_t by) {
    return both_ways(padded.narrow(2, by, input.size(2)).narrow(3, by, input.size(3)));
  };
  return both_ways(input) / 2 + (moved(0) + moved(2)) / 4;
}

}  // namespace halftone::tasks
