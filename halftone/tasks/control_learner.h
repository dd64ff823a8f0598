// An agent as a Learner: DQN or PPO, as its network says.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "halftone/data/environment.h"
#include "halftone/models/control.h"
#include "halftone/tasks/learner.h"

namespace halftone::tasks {

constexpr double kDiscount = 0.99;

// dqn: mean squared error of the taken actions' values against batch.target (Mnih et al. 2015);
// batches as DqnSource gives them. ppo: clipped surrogate, squared error of the values, entropy
// bonus (Schulman et al. 2017, equation 9); batches as PpoSource gives them.
//
// An evaluation plays the episodes whose first states, (N, state_size) fp64, are batch.input, all
// at once and greedily. Its loss is the Huber loss of the first states' values against the
// discounted returns that came.
class ControlLearner : public Learner {
 public:
  // environment: must outlive it.
  ControlLearner(const data::Environment& environment,
                 std::shared_ptr<models::ControlNetwork> network)
      : environment_(environment), network_(std::move(network)) {}

  const data::Environment& environment() const { return environment_; }
  models::ControlNetwork& network() { return *network_; }

  std::shared_ptr<torch::nn::Module> module() const override { return network_; }
  at::Tensor loss(const data::Batch& batch) override;
  std::vector<metrics::MetricKind> metrics() const override;
  std::unique_ptr<Meter> meter() override;

  // inputs: seeds, each of an episode to play.
  Answers predict(const std::vector<std::string>& inputs, const PredictOptions& options) override;

 private:
  const data::Environment& environment_;
  std::shared_ptr<models::ControlNetwork> network_;
};

}  // namespace halftone::tasks
