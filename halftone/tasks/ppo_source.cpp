#include <ATen/Functions.h>

#include <numeric>
#include <string>

#include "halftone/base/error.h"
#include "halftone/data/order.h"
#include "halftone/ops/state_reader.h"
#include "halftone/tasks/played_source.h"

namespace halftone::tasks {
namespace {

constexpr std::int64_t kPpoPlaces = 16;
constexpr std::int64_t kRolloutBatches = 4;  // that a rollout fills
constexpr std::int64_t kRolloutEpochs = 8;   // times that it is seen
constexpr std::int64_t kPpoBatches = 10 * kRolloutBatches * kRolloutEpochs;  // of an epoch
constexpr double kGaeLambda = 0.95;
constexpr std::uint64_t kPolicyStream = ~std::uint64_t{4};

class PpoSource : public PlayedSource {
 public:
  PpoSource(ControlLearner& learner, const RunConfig& config)
      : PlayedSource(learner, config, kPpoPlaces, kPpoBatches),
        steps_((kRolloutBatches * config.batch + kPpoPlaces - 1) / kPpoPlaces),
        samples_(steps_ * kPpoPlaces),
        rollout_{at::zeros({samples_, learner.environment().observation_size()}),
                 at::zeros({samples_}, at::kLong), at::zeros({samples_}), at::zeros({samples_}),
                 at::zeros({samples_})} {}

 protected:
  data::Batch make_batch() override {
    if (seen_ == kRolloutBatches * kRolloutEpochs) {
      play_rollout();
      seen_ = 0;
    }
    const std::int64_t pass = seen_ / kRolloutBatches, batch = seen_ % kRolloutBatches;
    const auto order = data::epoch_order(samples_, /*shuffle=*/true, config_.seed,
                                         played_ * kRolloutEpochs + pass);
    const auto first = order.begin() + batch * config_.batch;
    data::Batch result;
    result.indices.assign(first, first + config_.batch);
    const at::Tensor places = at::from_blob(result.indices.data(), {config_.batch}, at::kLong);
    result.input = rollout_.observation.index_select(0, places);
    result.target = rollout_.discounted.index_select(0, places);
    result.extra = {{"action", rollout_.action.index_select(0, places)},
                    {"log_probability", rollout_.log_probability.index_select(0, places)},
                    {"advantage", rollout_.advantage.index_select(0, places)}};
    ++seen_;
    return result;
  }

  StateDict own_state() const override {
    StateDict state = make_state_dict();
    state.insert("seen", seen_);
    state.insert("played", played_);
    state.insert("observation", rollout_.observation.clone());
    state.insert("action", rollout_.action.clone());
    state.insert("log_probability", rollout_.log_probability.clone());
    state.insert("advantage", rollout_.advantage.clone());
    state.insert("discounted", rollout_.discounted.clone());
    return state;
  }

  void load_own_state(const StateDict& state) override {
    StateReader reader(state, "played episodes.own");
    const std::int64_t seen = reader.integer("seen"), played = reader.integer("played");
    const Rollout rollout{reader.tensor("observation", rollout_.observation),
                          reader.tensor("action", rollout_.action),
                          reader.tensor("log_probability", rollout_.log_probability),
                          reader.tensor("advantage", rollout_.advantage),
                          reader.tensor("discounted", rollout_.discounted)};
    reader.finish();
    if (seen < 0 || seen > kRolloutBatches * kRolloutEpochs || played < 0) {
      throw Error(std::to_string(seen) + " batches of rollout " + std::to_string(played),
                  "0 to " + std::to_string(kRolloutBatches * kRolloutEpochs),
                  "played episodes.own");
    }
    seen_ = seen;
    played_ = played;
    rollout_ = {rollout.observation.clone(), rollout.action.clone(),
                rollout.log_probability.clone(), rollout.advantage.clone(),
                rollout.discounted.clone()};
  }

 private:
  struct Rollout {
    at::Tensor observation;                                     // (S, O)
    at::Tensor action, log_probability, advantage, discounted;  // (S)
  };

  // (N) int64, by the policy's probabilities.
  at::Tensor drawn_actions(const at::Tensor& probabilities) {
    data::CounterRng numbers = random(kPolicyStream);
    const at::Tensor thresholds = at::empty({places_, 1}, at::kFloat);
    for (std::int64_t i = 0; i < places_; ++i) {
      thresholds.mutable_data_ptr<float>()[i] = static_cast<float>(numbers.between(0, 1));
    }
    const std::int64_t last = probabilities.size(1) - 1;
    return probabilities.cumsum(1).le(thresholds).sum(1).clamp_max(last).contiguous();
  }

  void play_rollout() {
    std::vector<at::Tensor> observation, next, action, log_probability, value, reward, terminated,
        ended;
    for (std::int64_t t = 0; t < steps_; ++t) {
      const auto output = learner_.network().forward(episodes_.observation());
      const at::Tensor log_probabilities = output.scores.to(at::kFloat).log_softmax(1);
      const at::Tensor actions = drawn_actions(log_probabilities.exp());
      const data::EpisodesStep step = act(actions);
      observation.push_back(step.observation);
      next.push_back(step.next);
      action.push_back(actions);
      log_probability.push_back(log_probabilities.gather(1, actions.unsqueeze(1)).squeeze(1));
      value.push_back(output.value.to(at::kFloat));
      reward.push_back(step.reward);
      terminated.push_back(step.terminated);
      ended.push_back(step.ended);
    }
    const at::Tensor values = at::stack(value);
    const at::Tensor next_values =
        learner_.network().forward(at::cat(next)).value.to(at::kFloat).view({steps_, kPpoPlaces});
    const at::Tensor advantages =
        generalised_advantages(at::stack(reward), values, next_values, at::stack(terminated),
                               at::stack(ended), kDiscount, kGaeLambda);
    rollout_ = {at::cat(observation), at::cat(action), at::cat(log_probability),
                advantages.flatten(), (advantages + values).flatten()};
    ++played_;
  }

  std::int64_t steps_, samples_;
  Rollout rollout_;
  std::int64_t seen_ = kRolloutBatches * kRolloutEpochs;  // batches of the rollout
  std::int64_t played_ = 0;                               // rollouts
};

}  // namespace

std::shared_ptr<data::BatchSource> ppo_source(ControlLearner& learner, const RunConfig& config) {
  return std::make_shared<PpoSource>(learner, config);
}

}  // namespace halftone::tasks
