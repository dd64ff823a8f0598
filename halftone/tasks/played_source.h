// Batches that come of playing with the network that is trained.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "halftone/data/batch_source.h"
#include "halftone/data/episodes.h"
#include "halftone/data/replay.h"
#include "halftone/tasks/control_learner.h"
#include "halftone/tasks/run_config.h"

namespace halftone::tasks {

// What both algorithms' sources share: an epoch is a number of batches; the environments go on from
// one to the next. All random numbers are counter-based. learner: must outlive it.
class PlayedSource : public data::BatchSource {
 public:
  void start_epoch(std::int64_t epoch, std::int64_t first_batch = 0) override;
  // Plays as it must, under the run's policy.
  std::optional<data::Batch> next() override;
  std::int64_t batches() const override { return batches_; }
  std::int64_t epoch() const override { return epoch_; }
  std::int64_t position() const override { return position_; }
  double wait_seconds() const override { return wait_seconds_; }

  // Counters, environments, and what the algorithm keeps, under "own".
  StateDict state_dict() const override;
  void load_state_dict(const StateDict& state) override;

 protected:
  PlayedSource(ControlLearner& learner, const RunConfig& config, std::int64_t places,
               std::int64_t batches);

  virtual data::Batch make_batch() = 0;
  virtual StateDict own_state() const = 0;
  virtual void load_own_state(const StateDict& state) = 0;

  // One step of all places: of each episode.
  data::EpisodesStep act(const at::Tensor& actions);
  // Numbers of the step to come; of each `stream` others.
  data::CounterRng random(std::uint64_t stream) const;

  ControlLearner& learner_;
  RunConfig config_;
  std::int64_t places_;
  data::Episodes episodes_;
  std::int64_t acted_ = 0;  // steps of all places

 private:
  std::int64_t batches_, epoch_ = -1, position_ = 0;
  double wait_seconds_ = 0;
};

// DQN (Mnih et al. 2015) with the double estimator (van Hasselt et al. 2016): batch.input
// observations (B, O), batch.target their actions' values as the target network sees them (B),
// "action" (B). Ten environments; each batch takes one step of all and draws from the replay.
// Actions are random at a rate that falls from 1 to 0.05 over the first fifth of the steps.
std::shared_ptr<data::BatchSource> dqn_source(ControlLearner& learner, const RunConfig& config);

// PPO (Schulman et al. 2017): rollouts of sixteen environments, four batches long, each seen eight
// times in another order. batch.input observations (B, O), batch.target discounted returns (B);
// "action", "log_probability", "advantage" (B).
std::shared_ptr<data::BatchSource> ppo_source(ControlLearner& learner, const RunConfig& config);

// Generalised advantage estimation (Schulman et al. 2016, equation 16). All (T, N) fp32; value of
// the states, next_value of those after them (before another episode begins). -> advantages.
at::Tensor generalised_advantages(const at::Tensor& reward, const at::Tensor& value,
                                  const at::Tensor& next_value, const at::Tensor& terminated,
                                  const at::Tensor& ended, double discount, double lambda);

}  // namespace halftone::tasks
