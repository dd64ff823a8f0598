// What an agent has lived through, to be drawn from (Lin 1992; Mnih et al. 2015).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/data/episodes.h"
#include "halftone/data/random.h"
#include "halftone/ops/state_dict.h"

namespace halftone::data {

struct Transitions {
  at::Tensor observation, next;   // (B, observation_size) fp32
  at::Tensor action;              // (B) int64
  at::Tensor reward;              // (B) fp32
  at::Tensor terminated;          // (B) bool: nothing follows; a truncated episode would go on
  std::vector<int64_t> places{};  // (B)
};

// The last `capacity` transitions. A state machine. Not thread-safe.
class HALFTONE_API Replay {
 public:
  Replay(int64_t capacity, int64_t observation_size);

  void add(const EpisodesStep& step, const at::Tensor& actions);
  int64_t size() const { return size_; }
  // With replacement. Throws Error where it is empty.
  Transitions draw(int64_t count, CounterRng random) const;

  StateDict state_dict() const;
  void load_state_dict(const StateDict& state);

 private:
  Transitions kept_;
  int64_t size_ = 0, next_ = 0;
};

}  // namespace halftone::data
