#include "halftone/tasks/advice_cache.h"

#include <cstdio>
#include <functional>
#include <sstream>

#include "halftone/base/error.h"
#include "halftone/base/file.h"
#include "halftone/base/json.h"
#include "halftone/base/log.h"
#include "halftone/ops/enable.h"
#include "halftone/tasks/advise_report.h"
#include "halftone/tasks/precision_trial.h"
#include "halftone/tasks/session.h"

namespace halftone::tasks {
namespace {

// Another network gives another text; the key holds it as a number.
std::size_t hash_of_parameters(const torch::nn::Module& module) {
  std::ostringstream text;
  for (const auto& item : module.named_parameters()) {
    text << item.key() << " " << item.value().sizes() << "\n";
  }
  return std::hash<std::string>()(text.str());
}

std::filesystem::path entry_path(const std::filesystem::path& directory, const std::string& key) {
  char name[32];
  std::snprintf(name, sizeof name, "%016zx.json", std::hash<std::string>()(key));
  return directory / name;
}

}  // namespace

std::string advice_key(const RunConfig& config, const TaskData& data) {
  RunConfig first = config;
  first.policy = Policy::preset("fp32");
  first.seed = 0;  // batches of texts differ in length with their order
  const auto learner = make_learner(first, run_assets(first, data));
  const data::Batch batch = next_batch(*data.train(first, *learner));
  const numerics::Machine machine = numerics::this_machine();
  std::ostringstream key;
  key << "task " << config.task << "\nmodel " << config.model << "\nparameters "
      << hash_of_parameters(*learner->module()) << "\nbatch " << config.batch << "\ninput "
      << batch.input.sizes() << "\ncpu " << machine.cpu << "\nrung " << machine.rung << "\nthreads "
      << machine.threads << "\nlibtorch " << machine.libtorch_version << "\nhalftone "
      << machine.halftone_version << "\n";
  for (const OperationState& operation : operations()) {
    if (!operation.enabled) key << "without " << operation.name << "\n";
  }
  return key.str();
}

void save_advice(const std::filesystem::path& directory, const std::string& key,
                 const TaskAdvice& advice) {
  Json json;
  json["key"] = key;
  json["reason"] = advice.reason;
  json["policy"] = advice_toml(advice);
  make_directories(directory);
  write_file(entry_path(directory, key), json.dump(2) + "\n");
}

std::optional<CachedAdvice> load_advice(const std::filesystem::path& directory,
                                        const std::string& key) {
  const auto path = entry_path(directory, key);
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return std::nullopt;
  try {
    const Json json = Json::parse(read_file(path), path.string());
    if (json.at("key").as_string() != key) return std::nullopt;  // of the same hash
    return CachedAdvice{Policy::from_toml(json.at("policy").as_string()),
                        json.at("reason").as_string()};
  } catch (const Error& error) {
    warn("advice in " + path.string() + " is left aside: " + error.what());
    return std::nullopt;
  }
}

std::filesystem::path advice_directory() { return cache_directory("advice"); }

}  // namespace halftone::tasks
