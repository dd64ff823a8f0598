#include "halftone/data/episodes.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <string>

#include "halftone/base/error.h"
#include "halftone/ops/state_reader.h"

namespace halftone::data {
namespace {

std::span<double> row_of(const at::Tensor& states, int64_t place) {
  const int64_t size = states.size(1);
  return {states.mutable_data_ptr<double>() + place * size, static_cast<size_t>(size)};
}

void begin_row(const Environment& environment, const at::Tensor& states, int64_t place,
               uint64_t seed, int64_t episode) {
  CounterRng random(stream_key(seed, episode, static_cast<uint64_t>(place)));
  environment.begin(random, row_of(states, place));
}

}  // namespace

Episodes::Episodes(const Environment& environment, int64_t count, uint64_t seed)
    : environment_(environment),
      seed_(seed),
      states_(at::empty({count, environment.state_size()}, at::kDouble)),
      observation_(at::empty({count, environment.observation_size()}, at::kFloat)),
      steps_(at::zeros({count}, at::kLong)),
      begun_(at::zeros({count}, at::kLong)) {
  for (int64_t place = 0; place < count; ++place) begin(place);
}

void Episodes::begin(int64_t place) {
  auto& begun = begun_.mutable_data_ptr<int64_t>()[place];
  begin_row(environment_, states_, place, seed_, begun++);
  steps_.mutable_data_ptr<int64_t>()[place] = 0;
  observe(place);
}

void Episodes::observe(int64_t place) {
  const int64_t size = observation_.size(1);
  environment_.observe(
      row_of(states_, place),
      {observation_.mutable_data_ptr<float>() + place * size, static_cast<size_t>(size)});
}

EpisodesStep Episodes::step(const at::Tensor& actions) {
  const int64_t count = states_.size(0);
  EpisodesStep result{observation(),
                      {},
                      at::empty({count}, at::kFloat),
                      at::empty({count}, at::kBool),
                      at::empty({count}, at::kBool)};
  for (int64_t place = 0; place < count; ++place) {
    const int64_t action = actions.const_data_ptr<int64_t>()[place];
    if (action < 0 || action >= environment_.actions()) {
      throw Error("action " + std::to_string(action),
                  "0 to " + std::to_string(environment_.actions() - 1), environment_.name());
    }
    const Outcome outcome = environment_.step(row_of(states_, place), action);
    observe(place);
    const int64_t steps = ++steps_.mutable_data_ptr<int64_t>()[place];
    result.reward.mutable_data_ptr<float>()[place] = static_cast<float>(outcome.reward);
    result.terminated.mutable_data_ptr<bool>()[place] = outcome.terminated;
    result.ended.mutable_data_ptr<bool>()[place] =
        outcome.terminated || steps >= environment_.step_limit();
  }
  result.next = observation();
  for (int64_t place = 0; place < count; ++place) {
    if (result.ended.const_data_ptr<bool>()[place]) begin(place);
  }
  return result;
}

StateDict Episodes::state_dict() const {
  StateDict state = make_state_dict();
  state.insert("states", states_.clone());
  state.insert("steps", steps_.clone());
  state.insert("begun", begun_.clone());
  return state;
}

void Episodes::load_state_dict(const StateDict& state) {
  StateReader reader(state, environment_.name());
  const at::Tensor states = reader.tensor("states", states_),
                   steps = reader.tensor("steps", steps_), begun = reader.tensor("begun", begun_);
  reader.finish();
  states_.copy_(states);
  steps_.copy_(steps);
  begun_.copy_(begun);
  for (int64_t place = 0; place < states_.size(0); ++place) observe(place);
}

at::Tensor first_states(const Environment& environment, int64_t count, uint64_t seed) {
  const at::Tensor states = at::empty({count, environment.state_size()}, at::kDouble);
  for (int64_t place = 0; place < count; ++place) begin_row(environment, states, place, seed, 0);
  return states;
}

}  // namespace halftone::data
