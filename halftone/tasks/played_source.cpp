#include "halftone/tasks/played_source.h"

#include <chrono>
#include <string>

#include "halftone/base/error.h"
#include "halftone/ops/state_reader.h"
#include "halftone/precision/autocast.h"

namespace halftone::tasks {

PlayedSource::PlayedSource(ControlLearner& learner, const RunConfig& config, std::int64_t places,
                           std::int64_t batches)
    : learner_(learner),
      config_(config),
      places_(places),
      episodes_(learner.environment(), places, config.seed),
      batches_(batches) {}

void PlayedSource::start_epoch(std::int64_t epoch, std::int64_t first_batch) {
  if (epoch < 0 || first_batch < 0 || first_batch > batches_) {
    throw UsageError("epoch " + std::to_string(epoch) + ", batch " + std::to_string(first_batch),
                     "epoch 0 or more, batch 0 to " + std::to_string(batches_), "played episodes");
  }
  epoch_ = epoch;
  position_ = first_batch;
}

std::optional<data::Batch> PlayedSource::next() {
  if (epoch_ < 0)
    throw Error("next() before start_epoch()", "start_epoch() first", "played episodes");
  if (position_ == batches_) return std::nullopt;
  const auto start = std::chrono::steady_clock::now();
  const at::NoGradGuard no_grad;
  const Autocast autocast(config_.policy);
  data::Batch batch = make_batch();
  ++position_;
  wait_seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return batch;
}

data::EpisodesStep PlayedSource::act(const at::Tensor& actions) {
  ++acted_;
  return episodes_.step(actions);
}

data::CounterRng PlayedSource::random(std::uint64_t stream) const {
  return data::CounterRng(data::stream_key(config_.seed, acted_, stream));
}

StateDict PlayedSource::state_dict() const {
  StateDict state = make_state_dict();
  state.insert("seed", static_cast<std::int64_t>(config_.seed));
  state.insert("epoch", epoch_);
  state.insert("position", position_);
  state.insert("acted", acted_);
  state.insert("episodes", episodes_.state_dict());
  state.insert("own", own_state());
  return state;
}

void PlayedSource::load_state_dict(const StateDict& state) {
  const std::string where = "played episodes";
  StateReader reader(state, where);
  const auto seed = static_cast<std::uint64_t>(reader.integer("seed"));
  const std::int64_t epoch = reader.integer("epoch"), position = reader.integer("position"),
                     acted = reader.integer("acted");
  const StateDict episodes = reader.dict("episodes"), own = reader.dict("own");
  reader.finish();
  if (seed != config_.seed) {
    throw Error("saved with " + std::to_string(seed), std::to_string(config_.seed),
                where + ".seed");
  }
  if (epoch < -1 || position < 0 || position > batches_ || acted < 0) {
    throw Error("epoch " + std::to_string(epoch) + ", position " + std::to_string(position),
                "-1 or more, 0 to " + std::to_string(batches_), where);
  }
  load_own_state(own);
  episodes_.load_state_dict(episodes);
  epoch_ = epoch;
  position_ = position;
  acted_ = acted;
}

at::Tensor generalised_advantages(const at::Tensor& reward, const at::Tensor& value,
                                  const at::Tensor& next_value, const at::Tensor& terminated,
                                  const at::Tensor& ended, double discount, double lambda) {
  const at::Tensor delta = reward + discount * next_value * terminated.logical_not() - value;
  const at::Tensor goes_on = discount * lambda * ended.logical_not();
  const at::Tensor result = delta.clone();
  for (std::int64_t t = reward.size(0) - 2; t >= 0; --t) {
    result[t] += goes_on[t] * result[t + 1];
  }
  return result;
}

}  // namespace halftone::tasks
