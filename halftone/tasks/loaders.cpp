#include "halftone/tasks/loaders.h"

#include <algorithm>
#include <utility>

#include "halftone/base/error.h"

namespace halftone::tasks {
namespace {

data::LoaderOptions options_for(std::int64_t batch, int workers) {
  data::LoaderOptions options;
  options.batch = batch;
  options.workers = workers;
  options.prefetch = std::max<std::int64_t>(options.prefetch, workers);  // one for each at least
  return options;
}

}  // namespace

std::shared_ptr<data::Loader> train_loader(std::shared_ptr<const data::BatchBuilder> examples,
                                           const RunConfig& config, const std::string& noun,
                                           int workers) {
  if (config.batch > examples->size()) {
    throw UsageError(std::to_string(config.batch),
                     "at most the " + std::to_string(examples->size()) + " training " + noun,
                     "--batch");
  }
  data::LoaderOptions options = options_for(config.batch, workers);
  options.seed = config.seed;
  options.drop_last = true;
  return std::make_shared<data::Loader>(std::move(examples), options);
}

std::shared_ptr<data::Loader> evaluation_loader(std::shared_ptr<const data::BatchBuilder> examples,
                                                std::int64_t batch, int workers) {
  data::LoaderOptions options = options_for(batch, workers);
  options.shuffle = false;
  return std::make_shared<data::Loader>(std::move(examples), options);
}

}  // namespace halftone::tasks
