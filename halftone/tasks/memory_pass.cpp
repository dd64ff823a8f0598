#include "halftone/tasks/memory_pass.h"

#include "halftone/base/error.h"
#include "halftone/metrics/peak_rss.h"
#include "halftone/ops/memory.h"
#include "halftone/tasks/child_process.h"
#include "halftone/tasks/session.h"

namespace halftone::tasks {
namespace {

constexpr int kSteps = 4;  // the optimizer's state is there after the first

}  // namespace

MemoryPeaks measure_memory_here(const std::filesystem::path& directory) {
  const RunConfig config = RunConfig::load(directory);
  const auto data = find_task(config.task).open(config.data);
  memory::install_counting_allocator();  // what is there already, the data, is not counted
  memory::reset_peak();
  Session session = make_session(config, *data);
  session.train->start_epoch(0);
  for (std::int64_t i = 0; i < kSteps * config.accumulate; ++i) {
    const auto batch = session.train->next();
    if (!batch) break;
    session.trainer->step(*batch);
  }
  return {.tensor_bytes = memory::peak_tensor_bytes(),
          .rss_bytes = metrics::peak_rss_bytes().value_or(0)};
}

MemoryPeaks measure_memory_in_child(const std::filesystem::path& program,
                                    const std::filesystem::path& directory) {
  const ChildOutput child = run_child(program, {"memory-pass", directory.string()});
  if (child.exit_code != 0) {
    throw Error("the memory pass ended with exit code " + std::to_string(child.exit_code) +
                (child.err.empty() ? "" : ": " + child.err.substr(0, child.err.find('\n'))));
  }
  return memory_peaks_from_json(Json::parse(child.out, "memory pass"));
}

Json to_json(const MemoryPeaks& peaks) {
  Json json;
  json["peak_tensor_bytes"] = peaks.tensor_bytes;
  json["peak_rss_bytes"] = peaks.rss_bytes;
  return json;
}

MemoryPeaks memory_peaks_from_json(const Json& json) {
  return {.tensor_bytes = json.at("peak_tensor_bytes").as_int(),
          .rss_bytes = json.at("peak_rss_bytes").as_int()};
}

}  // namespace halftone::tasks
