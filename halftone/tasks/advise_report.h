// An advice for people (tables, text), for programs (JSON) and for `--policy` (TOML).
#pragma once

#include <string>

#include "halftone/base/json.h"
#include "halftone/tasks/advise.h"

namespace halftone::tasks {

// The policy as a file that Policy::load() reads back equal; each line says why it is there.
std::string advice_toml(const TaskAdvice& advice);

// A row for each operation and for each policy in whole steps, then what it comes to.
std::string advice_text(const TaskAdvice& advice);

// {"task", "model", "batch", "machine": {"cpu", "rung", "threads", "libtorch"}, "max_error",
// "batch_noise", "operations": [{"name", "operation", "input", "weight", "fp32": {"forward_ms",
// "backward_ms"}, "formats": [{"format", "forward_ms", "backward_ms", "speedup": {"median", "low",
// "high"}, "loss_error", "gradient_error"}], "advice", "reason", "in_noise"}], "policies":
// [{"name", "step_ms", "step_ms_iqr", "speedup", "gradient_error", "loss_error",
// "predicted_gradient_error", "loss", "finite"}], "advised", "reason", "policy"}. Errors are
// relative to fp32's, null where they are not finite; policy: as TOML.
Json advice_json(const TaskAdvice& advice);

}  // namespace halftone::tasks
