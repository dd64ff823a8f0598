#include "halftone/data/replay.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <string>

#include "halftone/base/error.h"
#include "halftone/ops/state_reader.h"

namespace halftone::data {

Replay::Replay(int64_t capacity, int64_t observation_size)
    : kept_{at::zeros({capacity, observation_size}), at::zeros({capacity, observation_size}),
            at::zeros({capacity}, at::kLong), at::zeros({capacity}),
            at::zeros({capacity}, at::kBool)} {}

void Replay::add(const EpisodesStep& step, const at::Tensor& actions) {
  const int64_t capacity = kept_.reward.size(0), count = actions.size(0);
  const at::Tensor places = at::arange(next_, next_ + count, at::kLong).remainder(capacity);
  kept_.observation.index_copy_(0, places, step.observation);
  kept_.next.index_copy_(0, places, step.next);
  kept_.action.index_copy_(0, places, actions);
  kept_.reward.index_copy_(0, places, step.reward);
  kept_.terminated.index_copy_(0, places, step.terminated);
  next_ = (next_ + count) % capacity;
  size_ = std::min(size_ + count, capacity);
}

Transitions Replay::draw(int64_t count, CounterRng random) const {
  if (size_ == 0) throw Error("a draw from an empty replay", "one transition or more", "replay");
  Transitions result;
  for (int64_t i = 0; i < count; ++i) result.places.push_back(random.below(size_));
  const at::Tensor places = at::from_blob(result.places.data(), {count}, at::kLong);
  result.observation = kept_.observation.index_select(0, places);
  result.next = kept_.next.index_select(0, places);
  result.action = kept_.action.index_select(0, places);
  result.reward = kept_.reward.index_select(0, places);
  result.terminated = kept_.terminated.index_select(0, places);
  return result;
}

StateDict Replay::state_dict() const {
  StateDict state = make_state_dict();
  state.insert("observation", kept_.observation.clone());
  state.insert("next", kept_.next.clone());
  state.insert("action", kept_.action.clone());
  state.insert("reward", kept_.reward.clone());
  state.insert("terminated", kept_.terminated.clone());
  state.insert("size", size_);
  state.insert("place", next_);
  return state;
}

void Replay::load_state_dict(const StateDict& state) {
  StateReader reader(state, "replay");
  const Transitions loaded{reader.tensor("observation", kept_.observation),
                           reader.tensor("next", kept_.next), reader.tensor("action", kept_.action),
                           reader.tensor("reward", kept_.reward),
                           reader.tensor("terminated", kept_.terminated)};
  const int64_t size = reader.integer("size"), place = reader.integer("place");
  reader.finish();
  const int64_t capacity = kept_.reward.size(0);
  if (size < 0 || size > capacity || place < 0 || place >= capacity) {
    throw Error(std::to_string(size) + " transitions, the next at " + std::to_string(place),
                "at most " + std::to_string(capacity), "replay");
  }
  kept_.observation.copy_(loaded.observation);
  kept_.next.copy_(loaded.next);
  kept_.action.copy_(loaded.action);
  kept_.reward.copy_(loaded.reward);
  kept_.terminated.copy_(loaded.terminated);
  size_ = size;
  next_ = place;
}

}  // namespace halftone::data
