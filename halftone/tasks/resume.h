// What a resumed run takes from its directory and what from the command line.
#pragma once

#include "halftone/tasks/run_config.h"

namespace halftone::tasks {

// Which fields a person gave.
struct GivenOptions {
  bool task = false, model = false, data = false, epochs = false, steps = false, batch = false;
  bool accumulate = false, recompute = false, lr = false, seed = false, checkpoint_every = false,
       policy = false, pretrained = false;
};

// `saved` with the data, epochs, steps, checkpoint_every and recompute that were given. Throws
// UsageError for another task, model, pretrained weights, batch, accumulate, learning rate, seed or
// policy than the run's.
RunConfig resumed_config(RunConfig saved, const RunConfig& asked, const GivenOptions& given);

}  // namespace halftone::tasks
