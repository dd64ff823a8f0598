#include "halftone/tasks/run_config.h"

#include <algorithm>

#include "halftone/base/error.h"
#include "halftone/base/file.h"
#include "halftone/base/toml.h"
#include "halftone/version.h"

namespace halftone::tasks {
namespace {

constexpr const char* kFile = "config.toml";

}  // namespace

std::int64_t RunConfig::total_epochs(std::int64_t batches) const {
  return epochs > 0 ? epochs : (steps + batches - 1) / batches;
}

std::int64_t RunConfig::schedule_steps(std::int64_t batches) const {
  return epochs > 0 ? epochs * batches : steps;
}

std::int64_t RunConfig::total_steps(std::int64_t batches) const {
  const std::int64_t all = schedule_steps(batches);
  return steps > 0 ? std::min(steps, all) : all;
}

std::string RunConfig::to_toml() const {
  toml::Value document;
  document.set("halftone", HALFTONE_VERSION).comment("the version that wrote this file");
  document.set("task", task);
  document.set("data", data.string());
  document.set("model", model);
  if (!pretrained.empty()) document.set("pretrained", pretrained.string());
  document.set("epochs", epochs).comment("0: as many as the steps need");
  document.set("steps", steps).comment("0: all of the epochs");
  document.set("batch", batch);
  document.set("lr", lr).comment("the peak of the schedule");
  document.set("weight_decay", weight_decay);
  document.set("seed", static_cast<std::int64_t>(seed));
  document.set("checkpoint_every", checkpoint_every).comment("steps; 0: at the end of each epoch");
  document.set("precision", precision).comment("as asked for; [policy] is what it came to");
  document.set("policy", toml::parse(policy.to_toml(), "policy"));
  return toml::write(document);
}

RunConfig RunConfig::from_toml(const std::string& text, const std::string& where) {
  const toml::Value document = toml::parse(text, where);
  document.check_keys({"halftone", "task", "data", "model", "pretrained", "epochs", "steps",
                       "batch", "lr", "weight_decay", "seed", "checkpoint_every", "precision",
                       "policy"});
  RunConfig config;
  config.task = document.at("task").as_string();
  config.data = document.at("data").as_string();
  config.model = document.at("model").as_string();
  if (const auto* value = document.find("pretrained")) config.pretrained = value->as_string();
  config.epochs = document.at("epochs").as_integer();
  config.steps = document.at("steps").as_integer();
  config.batch = document.at("batch").as_integer();
  config.lr = document.at("lr").as_number();
  config.weight_decay = document.at("weight_decay").as_number();
  config.seed = static_cast<std::uint64_t>(document.at("seed").as_integer());
  config.checkpoint_every = document.at("checkpoint_every").as_integer();
  config.precision = document.at("precision").as_string();
  config.policy = Policy::from_toml(toml::write(document.at("policy")), where + ": [policy]");
  return config;
}

void RunConfig::save(const std::filesystem::path& directory) const {
  make_directories(directory);
  write_file(directory / kFile, to_toml());
}

RunConfig RunConfig::load(const std::filesystem::path& directory) {
  const auto path = directory / kFile;
  if (!std::filesystem::exists(path)) {
    throw Error("no " + std::string(kFile), "the --out directory of a run", directory.string());
  }
  return from_toml(read_file(path), path.string());
}

}  // namespace halftone::tasks
