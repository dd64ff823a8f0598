// A DCGAN as a Learner of two phases.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "halftone/models/dcgan.h"
#include "halftone/tasks/image_judge.h"
#include "halftone/tasks/learner.h"

namespace halftone::tasks {

// hinge: Lim and Ye 2017; bce: binary cross entropy of logits, the generator's not saturating
// (Goodfellow et al. 2014, section 3).
enum class GanLoss { hinge, bce };

// Phase 0 trains the discriminator on batch.input, real images (N, 1, 28, 28) in [-1, 1], against
// as many generated ones, phase 1 the generator. Latents come from LibTorch's generator.
//
// An evaluation generates from batch.input, latents (N, latent), always the same, and measures the
// Frechet distance of their features from those of the images held out; its loss is the
// generator's.
class GanLearner : public Learner {
 public:
  GanLearner(std::shared_ptr<models::Dcgan> network, GanLoss kind,
             std::shared_ptr<ImageJudge> judge)
      : network_(std::move(network)), kind_(kind), judge_(std::move(judge)) {}

  std::shared_ptr<torch::nn::Module> module() const override { return network_; }
  std::vector<std::shared_ptr<torch::nn::Module>> phase_modules() const override {
    return {network_->discriminator(), network_->generator()};
  }
  std::int64_t phases() const override { return 2; }
  at::Tensor loss(const data::Batch& batch) override { return phase_loss(batch, 0); }
  at::Tensor phase_loss(const data::Batch& batch, std::int64_t phase) override;
  std::vector<metrics::MetricKind> metrics() const override;
  std::unique_ptr<Meter> meter() override;
  // The first 64 images of the last evaluation.
  std::string picture() const override;

  // inputs: PNG files to write, each with 64 images, which depend on options.seed (0) and the
  // file's place among the inputs.
  std::vector<std::string> predict_options() const override { return {"seed"}; }
  Answers predict(const std::vector<std::string>& inputs, const PredictOptions& options) override;

 private:
  class DistanceMeter;

  at::Tensor discriminator_loss(const at::Tensor& real, const at::Tensor& generated) const;
  at::Tensor generator_loss(const at::Tensor& generated) const;

  std::shared_ptr<models::Dcgan> network_;
  GanLoss kind_;
  std::shared_ptr<ImageJudge> judge_;
  at::Tensor shown_;  // of the last evaluation
};

// (count, latent) fp32, standard normal; row i depends on seed and first + i alone.
at::Tensor latents(std::uint64_t seed, std::int64_t first, std::int64_t count, std::int64_t latent);

}  // namespace halftone::tasks
