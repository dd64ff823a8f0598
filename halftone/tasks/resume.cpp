#include "halftone/tasks/resume.h"

#include "halftone/base/error.h"
#include "halftone/base/text.h"

namespace halftone::tasks {
namespace {

void require_same(bool given, const char* option, const std::string& asked,
                  const std::string& saved) {
  if (given && asked != saved) throw UsageError(asked, saved + " as in the run to resume", option);
}

}  // namespace

RunConfig resumed_config(RunConfig saved, const RunConfig& asked, const GivenOptions& given) {
  require_same(given.task, "TASK", asked.task, saved.task);
  require_same(given.model, "--model", asked.model, saved.model);
  require_same(given.pretrained, "--pretrained", asked.pretrained.string(),
               saved.pretrained.string());
  require_same(given.batch, "--batch", std::to_string(asked.batch), std::to_string(saved.batch));
  require_same(given.accumulate, "--accumulate", std::to_string(asked.accumulate),
               std::to_string(saved.accumulate));
  require_same(given.lr, "--lr", format_number(asked.lr), format_number(saved.lr));
  require_same(given.seed, "--seed", std::to_string(asked.seed), std::to_string(saved.seed));
  if (given.policy && asked.policy != saved.policy) {
    throw UsageError(asked.policy.name, "the policy of the run to resume, " + saved.policy.name,
                     asked.precision == "policy" ? "--policy" : "--precision");
  }
  if (given.data) saved.data = asked.data;
  if (given.epochs) saved.epochs = asked.epochs;
  if (given.recompute) saved.recompute = asked.recompute;  // the same bits either way
  if (given.steps) saved.steps = asked.steps;
  if (given.checkpoint_every) saved.checkpoint_every = asked.checkpoint_every;
  return saved;
}

}  // namespace halftone::tasks
