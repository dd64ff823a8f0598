#include "halftone/tasks/run_config.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "halftone/base/error.h"
#include "halftone/base/file.h"
#include "halftone/base/toml.h"
#include "halftone/version.h"

namespace halftone::tasks {
namespace {

constexpr const char* kFile = "config.toml";
constexpr std::int64_t kMostCount = 1'000'000'000;  // as the command line's: products fit 64 bits

std::int64_t whole(const toml::Value& document, std::string_view key, std::int64_t least,
                   std::int64_t most = kMostCount) {
  const toml::Value& value = document.at(key);
  const std::int64_t number = value.as_integer();
  if (number >= least && number <= most) return number;
  value.refuse("a whole number from " + std::to_string(least) + " to " + std::to_string(most));
}

double finite(const toml::Value& document, std::string_view key, bool positive) {
  const toml::Value& value = document.at(key);
  const double number = value.as_number();
  if (std::isfinite(number) && (positive ? number > 0 : number >= 0)) return number;
  value.refuse(positive ? "a finite number above 0" : "a finite number, 0 or above");
}

}  // namespace

std::int64_t RunConfig::steps_per_epoch(std::int64_t batches) const {
  return (batches + accumulate - 1) / accumulate;
}

std::int64_t RunConfig::total_epochs(std::int64_t batches) const {
  const std::int64_t each = steps_per_epoch(batches);
  return epochs > 0 ? epochs : (steps + each - 1) / each;
}

std::int64_t RunConfig::schedule_steps(std::int64_t batches) const {
  return epochs > 0 ? epochs * steps_per_epoch(batches) : steps;
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
  document.set("accumulate", accumulate).comment("batches per optimizer step");
  document.set("recompute", recompute).comment("blocks for backward, not kept");
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
                       "batch", "accumulate", "recompute", "lr", "weight_decay", "seed",
                       "checkpoint_every", "precision", "policy"});
  RunConfig config;
  config.task = document.at("task").as_string();
  config.data = document.at("data").as_string();
  config.model = document.at("model").as_string();
  if (const auto* value = document.find("pretrained")) config.pretrained = value->as_string();
  config.epochs = whole(document, "epochs", 0);
  config.steps = whole(document, "steps", config.epochs > 0 ? 0 : 1);  // one of them ends the run
  config.batch = whole(document, "batch", 1);
  if (document.find("accumulate")) config.accumulate = whole(document, "accumulate", 1);
  if (const auto* value = document.find("recompute")) config.recompute = value->as_boolean();
  config.lr = finite(document, "lr", true);
  config.weight_decay = finite(document, "weight_decay", false);
  config.seed = static_cast<std::uint64_t>(
      whole(document, "seed", 0, std::numeric_limits<std::int64_t>::max()));
  config.checkpoint_every = whole(document, "checkpoint_every", 0);
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
