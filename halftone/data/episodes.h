// Several episodes of an environment at once, one step at a time.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "halftone/base/export.h"
#include "halftone/data/environment.h"
#include "halftone/ops/state_dict.h"

namespace halftone::data {

// What a step of N episodes gave.
struct EpisodesStep {
  at::Tensor observation;  // (N, observation_size) fp32, before the step
  at::Tensor next;         // the same after it, of an episode that has ended its last one
  at::Tensor reward;       // (N) fp32
  at::Tensor terminated;   // (N) bool
  at::Tensor ended;        // (N) bool: terminated or truncated
};

// An episode that ends is followed by the next one. First states depend on (seed, number of the
// place, number of the episode) alone. A state machine. Not thread-safe.
class HALFTONE_API Episodes {
 public:
  // environment: must outlive it.
  Episodes(const Environment& environment, int64_t count, uint64_t seed);

  // (N, observation_size) fp32; a copy.
  at::Tensor observation() const { return observation_.clone(); }
  // actions: (N) int64. Throws Error for one that the environment does not have.
  EpisodesStep step(const at::Tensor& actions);

  StateDict state_dict() const;
  void load_state_dict(const StateDict& state);

 private:
  void begin(int64_t place);
  void observe(int64_t place);

  const Environment& environment_;
  uint64_t seed_;
  at::Tensor states_;       // (N, state_size) fp64
  at::Tensor observation_;  // (N, observation_size) fp32
  at::Tensor steps_;        // (N) int64, of the episode under way
  at::Tensor begun_;        // (N) int64, episodes
};

// (count, state_size) fp64: first states that depend on seed and place alone.
HALFTONE_API at::Tensor first_states(const Environment& environment, int64_t count, uint64_t seed);

}  // namespace halftone::data
