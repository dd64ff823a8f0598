#include <algorithm>
#include <string>

#include "halftone/base/error.h"
#include "halftone/ops/state_reader.h"
#include "halftone/precision/apply.h"
#include "halftone/tasks/played_source.h"
#include "halftone/train/weights.h"

namespace halftone::tasks {
namespace {

// A short memory: the last 1000 batches' own transitions. With a longer one, with fewer of the
// network's own or with bounded gradients, CartPole's network forgot what an end is like.
constexpr std::int64_t kDqnPlaces = 10, kDqnBatches = 1000;  // of an epoch
constexpr std::int64_t kReplayed = 10'000;                   // transitions kept
constexpr std::int64_t kRandomFirst = 1000;                  // of them before the first batch
constexpr std::int64_t kTargetEvery = 50;                    // batches
constexpr double kExploredShare = 0.2, kLeastExploration = 0.05;
// Streams of random numbers.
constexpr std::uint64_t kExploreStream = ~std::uint64_t{2}, kReplayStream = ~std::uint64_t{3};

// A copy of the network that is trained, under the same policy.
std::shared_ptr<models::ControlNetwork> twin(ControlLearner& learner, const Policy& policy) {
  auto result = models::make_control(learner.network().options());
  halftone::apply(policy, *result);
  return result;
}

class DqnSource : public PlayedSource {
 public:
  DqnSource(ControlLearner& learner, const RunConfig& config)
      : PlayedSource(learner, config, kDqnPlaces, kDqnBatches),
        target_(twin(learner, config.policy)),
        replay_(kReplayed, learner.environment().observation_size()),
        explored_(std::max<std::int64_t>(
            1, static_cast<std::int64_t>(
                   kExploredShare *
                   static_cast<double>(config.schedule_steps(kDqnBatches) * config.accumulate)))) {}

 protected:
  data::Batch make_batch() override {
    while (replay_.size() < kRandomFirst) live(1);
    live(std::max(kLeastExploration,
                  1 - static_cast<double>(drawn_) / static_cast<double>(explored_)));
    if (drawn_ % kTargetEvery == 0) {
      set_weights(*target_, named_weights(*learner_.module()), "target network");
    }
    ++drawn_;
    data::Transitions lived = replay_.draw(config_.batch, random(kReplayStream));
    const at::Tensor next_action =
        learner_.network().forward(lived.next).scores.argmax(1, /*keepdim=*/true);
    const at::Tensor next_value =
        target_->forward(lived.next).scores.gather(1, next_action).squeeze(1);
    const at::Tensor target =
        lived.reward + kDiscount * next_value * lived.terminated.logical_not();
    return {lived.observation,
            target.to(at::kFloat),
            std::move(lived.places),
            {{"action", lived.action}}};
  }

  StateDict own_state() const override {
    StateDict state = make_state_dict();
    state.insert("drawn", drawn_);
    state.insert("explored", explored_);
    state.insert("replay", replay_.state_dict());
    StateDict target = make_state_dict();
    for (const auto& [name, tensor] : named_weights(*target_)) target.insert(name, tensor.clone());
    state.insert("target", target);
    return state;
  }

  void load_own_state(const StateDict& state) override {
    StateReader reader(state, "played episodes.own");
    const std::int64_t drawn = reader.integer("drawn"), explored = reader.integer("explored");
    const StateDict replay = reader.dict("replay"), target = reader.dict("target");
    reader.finish();
    if (drawn < 0 || explored < 1) {
      throw Error(std::to_string(drawn) + " drawn, " + std::to_string(explored) + " explored",
                  "0 or more, 1 or more", "played episodes.own");
    }
    NamedTensors weights;
    for (const auto& entry : target) {
      if (entry.value().isTensor()) weights.emplace_back(entry.key(), entry.value().toTensor());
    }
    set_weights(*target_, weights, "target network");
    replay_.load_state_dict(replay);
    drawn_ = drawn;
    explored_ = explored;
  }

 private:
  // One step of all places, each action drawn at random with the probability `exploration`.
  void live(double exploration) {
    data::CounterRng numbers = random(kExploreStream);
    const at::Tensor actions =
        learner_.network().forward(episodes_.observation()).scores.argmax(1).contiguous();
    for (std::int64_t place = 0; place < places_; ++place) {
      const bool explores = numbers.between(0, 1) < exploration;
      const std::int64_t any = numbers.below(learner_.environment().actions());
      if (explores) actions.mutable_data_ptr<std::int64_t>()[place] = any;
    }
    replay_.add(act(actions), actions);
  }

  std::shared_ptr<models::ControlNetwork> target_;
  data::Replay replay_;
  std::int64_t drawn_ = 0;  // batches
  std::int64_t explored_;   // batches over which exploration falls
};

}  // namespace

std::shared_ptr<data::BatchSource> dqn_source(ControlLearner& learner, const RunConfig& config) {
  return std::make_shared<DqnSource>(learner, config);
}

}  // namespace halftone::tasks
