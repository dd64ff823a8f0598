#include "halftone/tasks/task.h"

#include <cstdlib>

#include "halftone/base/error.h"
#include "halftone/base/text.h"

namespace halftone::tasks {

std::vector<const Task*> all_tasks() {
  return {
      &fashion_mnist_task(), &cifar10_task(),         &image_folder_task(), &camvid_task(),
      &bccd_task(),          &multi30k_task(),        &squad_task(),        &sst2_task(),
      &shakespeare_task(),   &shakespeare_bpe_task(), &movielens_task(),    &fashion_gan_task(),
      &cartpole_task(),      &acrobot_task(),
  };
}

const Task& find_task(const std::string& name) {
  for (const Task* task : all_tasks()) {
    if (task->name() == name) return *task;
  }
  throw UsageError("unknown task " + quote(name), choices(name, task_names()));
}

std::vector<std::string> task_names() {
  std::vector<std::string> names;
  for (const Task* task : all_tasks()) names.push_back(task->name());
  return names;
}

std::filesystem::path cache_directory(const std::string& name) {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache && *cache) return std::filesystem::path(cache) / "halftone" / name;
  const char* home = std::getenv("HOME");
  return std::filesystem::path(home && *home ? home : ".") / ".cache" / "halftone" / name;
}

}  // namespace halftone::tasks
