#include "halftone/tasks/task.h"

#include <ATen/ops/cross_entropy_loss.h>

#include "halftone/base/error.h"
#include "halftone/base/text.h"

namespace halftone::tasks {
namespace {

std::vector<const Task*> all() { return {&fashion_mnist_task(), &cifar10_task()}; }

}  // namespace

at::Tensor Task::loss(const at::Tensor& output, const at::Tensor& target) const {
  return at::cross_entropy_loss(output, target);
}

const Task& find_task(const std::string& name) {
  for (const Task* task : all()) {
    if (task->name() == name) return *task;
  }
  throw UsageError("unknown task " + quote(name), choices(name, task_names()));
}

std::vector<std::string> task_names() {
  std::vector<std::string> names;
  for (const Task* task : all()) names.push_back(task->name());
  return names;
}

}  // namespace halftone::tasks
