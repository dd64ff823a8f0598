#include "halftone/tasks/loaders.h"

#include <utility>

#include "halftone/base/error.h"

namespace halftone::tasks {

std::shared_ptr<data::Loader> train_loader(std::shared_ptr<const data::BatchBuilder> examples,
                                           const RunConfig& config, const std::string& noun) {
  if (config.batch > examples->size()) {
    throw UsageError(std::to_string(config.batch),
                     "at most the " + std::to_string(examples->size()) + " training " + noun,
                     "--batch");
  }
  data::LoaderOptions options;
  options.batch = config.batch;
  options.seed = config.seed;
  options.drop_last = true;
  return std::make_shared<data::Loader>(std::move(examples), options);
}

std::shared_ptr<data::Loader> evaluation_loader(std::shared_ptr<const data::BatchBuilder> examples,
                                                std::int64_t batch) {
  data::LoaderOptions options;
  options.batch = batch;
  options.shuffle = false;
  return std::make_shared<data::Loader>(std::move(examples), options);
}

}  // namespace halftone::tasks
