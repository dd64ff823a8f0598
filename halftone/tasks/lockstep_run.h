// A task's network through two policies on the same batches, and what is shown of it.
#pragma once

#include <cstdint>
#include <string>

#include "halftone/numerics/lockstep.h"
#include "halftone/report/html_page.h"
#include "halftone/report/text_table.h"
#include "halftone/tasks/task.h"

namespace halftone::tasks {

struct NetworkUnderPolicy {
  Learner& learner;
  const Policy& policy;  // as it was applied
};

// On `batches` training batches of config.task, of at most 32 examples (what is compared is kept:
// four copies of the activations). Throws as numerics::lockstep() does.
numerics::LockstepReport run_lockstep(const NetworkUnderPolicy& a, const NetworkUnderPolicy& b,
                                      const RunConfig& config, const TaskData& data,
                                      std::int64_t batches);

// A row per operation in the order of execution, the first that differs too much marked; then those
// that one policy alone runs, by name.
report::TextTable lockstep_table(const numerics::LockstepReport& report);
// The mark, in a sentence.
std::string lockstep_summary(const numerics::LockstepReport& report);
void add_lockstep(const numerics::LockstepReport& report, report::HtmlPage& page);

}  // namespace halftone::tasks
