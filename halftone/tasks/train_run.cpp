#include "halftone/tasks/train_run.h"

#include <cstdio>
#include <utility>

#include "halftone/base/error.h"
#include "halftone/base/file.h"
#include "halftone/tasks/session.h"
#include "halftone/train/callbacks.h"
#include "halftone/train/checkpoint.h"

namespace halftone::tasks {

void require_writable(const std::filesystem::path& directory) {
  make_directories(directory);
  AtomicFile probe(directory / ".writable");  // discarded
}

namespace {

constexpr const char* kPictures = "samples";

// samples/step-000468.png of each evaluation.
class PictureLog : public Callback {
 public:
  PictureLog(std::shared_ptr<Learner> learner, std::filesystem::path directory)
      : learner_(std::move(learner)), directory_(std::move(directory)) {}

  void on_evaluation(const Evaluation& evaluation) override {
    const std::string png = learner_->picture();
    if (png.empty()) return;
    make_directories(directory_);
    char name[40];
    std::snprintf(name, sizeof name, "step-%06lld.png", static_cast<long long>(evaluation.step));
    write_file(directory_ / name, png);
  }

 private:
  std::shared_ptr<Learner> learner_;
  std::filesystem::path directory_;
};

constexpr const char* kResults[] = {"weights.safetensors", "report.json", "report.html"};

CheckpointStore checkpoints_in(const std::filesystem::path& directory) {
  return {directory / "checkpoints", 1};
}

bool holds_run(const std::filesystem::path& directory) {
  std::error_code ignored;
  for (const char* name : kResults) {
    if (std::filesystem::exists(directory / name, ignored)) return true;
  }
  return std::filesystem::exists(directory / "checkpoints" / "best.pt", ignored) ||
         !checkpoints_in(directory).list().empty();
}

}  // namespace

void require_no_run(const std::filesystem::path& directory, bool overwrite,
                    const std::string& expected) {
  if (overwrite || !holds_run(directory)) return;
  throw UsageError("a run is there already", expected, directory.string());
}

void clear_run(const std::filesystem::path& directory, bool overwrite) {
  require_no_run(directory, overwrite);
  checkpoints_in(directory).clear();
  std::error_code ignored;
  for (const char* name : kResults) std::filesystem::remove(directory / name, ignored);
  std::filesystem::remove_all(directory / kPictures, ignored);
}

void save_setting(const RunConfig& config, const TaskData& data,
                  const std::filesystem::path& directory) {
  config.save(directory);
  for (const auto& [name, content] : run_assets(config, data)) {
    write_file(directory / name, content);
  }
}

TrainResult train_run(const RunConfig& config, const TaskData& data,
                      const TrainRunOptions& options) {
  const auto& out = options.out;
  if (!out.empty()) {
    require_writable(out);
    if (!options.resume) require_no_run(out, options.overwrite);
  }
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
    session.trainer->add_callback(std::make_shared<PictureLog>(session.learner, out / kPictures));
    if (options.monitor_every > 0) {
      session.trainer->add_callback(std::make_shared<RangeLog>(out / "ranges.jsonl"));
    }
  }
  if (options.resume && !session.trainer->resume()) {
    throw Error("no checkpoint to resume from", "a run with one", (out / "checkpoints").string());
  }
  if (!out.empty()) {
    if (!options.resume) clear_run(out, options.overwrite);
    save_setting(config, data, out);
  }
  const TrainResult result = session.trainer->run();
  if (!out.empty() && !result.interrupted()) {
    session.trainer->save_weights(out / "weights.safetensors");
  }
  return result;
}

}  // namespace halftone::tasks
