// What the tests of single tasks share: 20 steps on a fixture in each precision.
#pragma once

#include <ATen/Parallel.h>

#include "halftone/tasks/session.h"
#include "tests/support/test.h"

namespace halftone::tasks {

inline RunConfig task_config(const std::string& task, const std::string& preset,
                             const std::string& model = "") {
  const Task& found = find_task(task);
  RunConfig config;
  config.task = task;
  config.model = model.empty() ? found.default_model() : model;
  config.steps = 20;
  config.batch = 8;
  config.lr = found.defaults(config.model).lr;
  config.weight_decay = found.defaults(config.model).weight_decay;
  config.precision = preset;
  config.policy = Policy::preset(preset);
  return config;
}

// Trains config.steps steps; the evaluation loss falls by the factor `below` at least, and the
// metrics are there.
inline void expect_learns(const RunConfig& config, const TaskData& data, double below) {
  SCOPED_TRACE(config.policy.name);
  at::set_num_threads(1);  // steps this small only lose by a second thread
  Session session = make_session(config, data);
  const Evaluation before = session.trainer->evaluate();
  const TrainResult result = session.trainer->run();
  EXPECT_EQ(result.steps, config.steps);
  EXPECT_LT(result.last.loss, below * before.loss);
  const auto kinds = session.learner->metrics();
  ASSERT_EQ(result.last.metrics.size(), kinds.size());
  EXPECT_TRUE(metrics::better(kinds[0], result.last.metrics[0].value, before.metrics[0].value))
      << kinds[0].name << " " << before.metrics[0].value << " to " << result.last.metrics[0].value;
}

}  // namespace halftone::tasks
