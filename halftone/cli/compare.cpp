#include "halftone/tasks/compare.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>

#include "halftone/base/error.h"
#include "halftone/cli/checks.h"
#include "halftone/cli/run_options.h"
#include "halftone/tasks/child_process.h"
#include "halftone/tasks/compare_report.h"
#include "halftone/tasks/lockstep_run.h"
#include "halftone/tasks/memory_pass.h"
#include "halftone/tasks/time_budget.h"
#include "halftone/tasks/train_run.h"

namespace halftone::cli {
namespace {

using Clock = std::chrono::steady_clock;

// One line that is redrawn on a terminal; else a line every few seconds; a line per evaluation.
class CompareLine {
 public:
  CompareLine(std::ostream& err, bool terminal) : err_(err), terminal_(terminal) {}

  void operator()(const tasks::CompareProgress& progress) {
    const auto now = Clock::now();
    const double wait = terminal_ ? 0.2 : 5;
    const bool last = progress.step == progress.total_steps;
    if (!progress.evaluated && !last &&
        std::chrono::duration<double>(now - drawn_).count() < wait) {
      return;
    }
    drawn_ = now;
    err_ << (terminal_ ? "\r\x1b[K" : "") << text(progress)
         << (terminal_ && !progress.evaluated ? "" : "\n") << std::flush;
  }

 private:
  static std::string arm(const tasks::ArmResult& arm, bool evaluated) {
    char text[96];
    if (evaluated) {
      return "  " + arm.name + " " + metrics::title(arm.metric) + " " +
             metrics::show(arm.metric, arm.final_metric());
    } else if (arm.step_ms.count() == 0) {
      std::snprintf(text, sizeof text, "  %s loss %.3f", arm.name.c_str(), arm.loss.y.back());
    } else {
      std::snprintf(text, sizeof text, "  %s loss %.3f, %.0f ms", arm.name.c_str(),
                    arm.loss.y.back(), arm.step_ms.median());
    }
    return text;
  }
  static std::string text(const tasks::CompareProgress& progress) {
    char head[64], tail[48];
    std::snprintf(head, sizeof head, "step %lld/%lld", static_cast<long long>(progress.step),
                  static_cast<long long>(progress.total_steps));
    const double left = progress.seconds *
                        static_cast<double>(progress.total_steps - progress.step) /
                        static_cast<double>(progress.step);
    std::snprintf(tail, sizeof tail, "  %.0f s to go", left);
    return head + arm(*progress.fp32, progress.evaluated) +
           arm(*progress.mixed, progress.evaluated) + tail;
  }

  std::ostream& err_;
  bool terminal_;
  Clock::time_point drawn_{};
};

struct CompareCommandOptions : RunOptions {
  bool overwrite = false;
  std::optional<double> minutes;
  std::int64_t lockstep = 0;
};

void fit_time(tasks::RunConfig& config, const tasks::TaskData& data, double minutes,
              std::ostream& err) {
  config.epochs = tasks::epochs_within(60 * minutes, config, data);
  char text[80];
  std::snprintf(text, sizeof text, "%lld epoch%s fit%s %.3g minutes",
                static_cast<long long>(config.epochs), config.epochs == 1 ? "" : "s",
                config.epochs == 1 ? "s" : "", minutes);
  err << text << std::endl;
}

void print_result(std::ostream& out, const tasks::Comparison& comparison,
                  const std::filesystem::path& directory) {
  out << tasks::compare_table(comparison).str() << "\n"
      << tasks::compare_summary(comparison) << "\n";
  if (comparison.lockstep) {
    out << "\n"
        << tasks::lockstep_table(*comparison.lockstep).str() << "\n"
        << tasks::lockstep_summary(*comparison.lockstep) << "\n";
  }
  char text[64];
  std::snprintf(text, sizeof text, "%.0f s of training", comparison.training_seconds);
  out << text << "; report: " << (directory / "report.html").string() << "\n";
}

int compare(Invocation& invocation, const CompareCommandOptions& options) {
  const std::filesystem::path directory =
      options.out.empty() ? "runs/compare-" + options.task : options.out;
  tasks::RunConfig config = make_config(options);
  for (const auto& each : {directory, directory / "fp32"}) {  // before the data are read
    tasks::require_no_run(each, options.overwrite);
  }
  tasks::require_writable(directory);
  const auto data = open_data(config, invocation.err, open_options(options));

  tasks::CompareOptions compare_options;
  compare_options.choice = settle_precision(config, *data, true, invocation.err);
  if (options.minutes) fit_time(config, *data, *options.minutes, invocation.err);
  compare_options.out = directory;
  compare_options.overwrite = options.overwrite;
  compare_options.lockstep_batches = options.lockstep;
  compare_options.progress = CompareLine(invocation.err, isatty(STDERR_FILENO) != 0);
  compare_options.measure_memory = [&](const std::filesystem::path& arm) {
    invocation.err << "measuring the memory of a few steps of " << arm.filename().string()
                   << " in a process of its own" << std::endl;
    return tasks::measure_memory_in_child(tasks::this_program(), arm);
  };
  const tasks::Comparison comparison = tasks::compare(config, *data, compare_options);
  if (!comparison.complete) {
    if (!comparison.unsaved.empty()) throw Error(comparison.unsaved);
    invocation.err << "stopped after " << comparison.steps << " steps; checkpoints are in "
                   << directory.string() << std::endl;
    return 128 + comparison.signal;
  }
  if (options.json) {
    invocation.out << tasks::compare_json(comparison).dump(2) << "\n";
  } else {
    print_result(invocation.out, comparison, directory);
  }
  if (!comparison.unsaved.empty()) {
    invocation.out.flush();
    throw Error(comparison.unsaved);
  }
  return comparison.signal ? 128 + comparison.signal : 0;
}

int memory_pass(Invocation& invocation, const std::string& directory) {
  invocation.out << to_json(tasks::measure_memory_here(directory)).dump() << "\n";
  return 0;
}

}  // namespace

void add_compare(CLI::App& app, Invocation& invocation) {
  auto options = std::make_shared<CompareCommandOptions>();
  auto* command = app.add_subcommand(
      "compare", "Train fp32 and mixed precision side by side: time, memory, the task's metric");
  add_run_options(*command, *options);
  command
      ->add_option(
          "--out", options->out,
          "Directory for the reports, and for both arms as runs of their own: DIR/fp32 and "
          "DIR/MIXED, by its policy's name (default: runs/compare-TASK)")
      ->type_name("DIR");
  command
      ->add_option("--minutes", options->minutes,
                   "As many whole epochs as both arms' steps, measured first, take in that time")
      ->type_name("M")
      ->check(positive_number())
      ->excludes("--epochs")
      ->excludes("--steps");
  command
      ->add_flag("--lockstep{2}", options->lockstep,
                 "At the end run 2 batches (--lockstep=N: N) through both policies with the fp32 "
                 "arm's weights, and compare every operation's output and gradient")
      ->check(whole_number(1, 1000));
  command->add_flag("--overwrite", options->overwrite,
                    "Let --out replace a run that is there already");
  command->callback([options, &invocation] {
    invocation.run = [=, &invocation] { return compare(invocation, *options); };
  });
}

void add_memory_pass(CLI::App& app, Invocation& invocation) {
  auto directory = std::make_shared<std::string>();
  auto* command = app.add_subcommand("memory-pass", "Peak memory of a few steps of a run");
  command->group("");  // not in --help
  command->add_option("DIR", *directory)->required();
  command->callback([directory, &invocation] {
    invocation.run = [=, &invocation] { return memory_pass(invocation, *directory); };
  });
}

}  // namespace halftone::cli
