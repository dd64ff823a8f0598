// The loaders of tasks whose data are a set of examples.
#pragma once

#include <memory>

#include "halftone/data/loader.h"
#include "halftone/tasks/run_config.h"

namespace halftone::tasks {

// Shuffled by config.seed, without the incomplete last batch. Throws UsageError where config.batch
// is more than there are; noun: what it counts, for the message. workers: threads that build.
std::shared_ptr<data::Loader> train_loader(std::shared_ptr<const data::BatchBuilder> examples,
                                           const RunConfig& config, const std::string& noun,
                                           int workers = 1);

// All of them, in the builder's own order.
std::shared_ptr<data::Loader> evaluation_loader(std::shared_ptr<const data::BatchBuilder> examples,
                                                std::int64_t batch, int workers = 1);

}  // namespace halftone::tasks
