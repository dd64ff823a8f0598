#include "halftone/tasks/train_run.h"

#include "halftone/base/error.h"
#include "halftone/base/file.h"
#include "halftone/tasks/session.h"
#include "halftone/train/callbacks.h"

namespace halftone::tasks {

void require_writable(const std::filesystem::path& directory) {
  make_directories(directory);
  AtomicFile probe(directory / ".writable");  // discarded
}

void save_setting(const RunConfig& config, const TaskData& data,
                  const std::filesystem::path& directory) {
  config.save(directory);
  for (const auto& [name, content] : data.assets()) write_file(directory / name, content);
}

TrainResult train_run(const RunConfig& config, const TaskData& data,
                      const TrainRunOptions& options) {
  const auto& out = options.out;
  if (!out.empty()) require_writable(out);
  TrainerOptions trainer_options;
  trainer_options.out = out;
  trainer_options.overwrite = options.overwrite;
  if (options.explain_overflow) trainer_options.explain_overflow = ExplainOverflow::always;
  if (!out.empty()) trainer_options.monitor_every = options.monitor_every;
  Session session = make_session(config, data, trainer_options);
  for (const auto& callback : options.callbacks) session.trainer->add_callback(callback);
  if (!out.empty()) {
    session.trainer->add_callback(std::make_shared<JsonlLog>(out / "metrics.jsonl"));
    session.trainer->add_callback(std::make_shared<TensorBoardLog>(out));
    if (options.monitor_every > 0) {
      session.trainer->add_callback(std::make_shared<RangeLog>(out / "ranges.jsonl"));
    }
  }
  if (options.resume && !session.trainer->resume()) {
    throw Error("no checkpoint to resume from", "a run with one", (out / "checkpoints").string());
  }
  if (!out.empty()) save_setting(config, data, out);
  const TrainResult result = session.trainer->run();
  if (!out.empty() && !result.interrupted()) {
    session.trainer->save_weights(out / "weights.safetensors");
  }
  return result;
}

}  // namespace halftone::tasks
