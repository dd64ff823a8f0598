#include <cstdio>
#include <memory>

#include "halftone/base/json.h"
#include "halftone/cli/checks.h"
#include "halftone/cli/run_options.h"
#include "halftone/report/text_table.h"
#include "halftone/tasks/saved_run.h"

namespace halftone::cli {
namespace {

struct EvalOptions {
  std::string run, weights, data;
  std::int64_t batch = 256;
  bool json = false;
};

// All that was measured.
std::vector<metrics::MetricValue> all_metrics(const tasks::EvaluationReport& report) {
  auto all = report.evaluation.metrics;
  all.insert(all.end(), report.details.metrics.begin(), report.details.metrics.end());
  return all;
}

Json to_json(const tasks::SavedRun& run, const tasks::EvaluationReport& report) {
  Json json;
  json["task"] = run.config.task;
  json["model"] = run.config.model;
  json["weights"] = run.weights.string();
  json["format"] = format_name(run.config.policy.evaluation);
  json["samples"] = report.evaluation.samples;
  json["loss"] = report.evaluation.loss;
  for (const auto& [kind, value] : all_metrics(report)) json[kind.name] = value;
  json["samples_per_s"] = report.samples_per_s;
  for (const auto& [key, value] : report.details.json.as_object()) json[key] = value;
  return json;
}

std::string number(const char* format, double value) {
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

void print(std::ostream& out, const tasks::SavedRun& run, const tasks::EvaluationReport& report) {
  const tasks::TaskFacts& facts = tasks::find_task(run.config.task).facts();
  const std::string& noun = facts.evaluation_noun.empty() ? facts.noun : facts.evaluation_noun;
  out << run.config.model << " on " << run.config.task << ", " << run.weights.string() << " in "
      << format_name(run.config.policy.evaluation) << "\n"
      << report.evaluation.samples << " " << noun << ", loss "
      << number("%.4f", report.evaluation.loss);
  for (const auto& [kind, value] : all_metrics(report)) {
    out << ", " << metrics::title(kind) << " " << metrics::show(kind, value);
  }
  out << ", " << number("%.0f", report.samples_per_s) << " " << noun << "/s\n";
  const auto& rows = report.details.table;
  if (rows.empty()) return;
  report::TextTable table(rows.front());
  for (std::size_t i = 1; i < rows.size(); ++i) table.add_row(rows[i]);
  out << "\n" << table.str();
}

int evaluate(Invocation& invocation, const EvalOptions& options) {
  tasks::SavedRun run = tasks::load_run(options.run, options.weights);
  if (!options.data.empty()) run.config.data = options.data;
  const auto data = open_data(run.config, invocation.err);
  const auto report = tasks::evaluate_run(run, *data, options.batch);
  if (options.json) {
    invocation.out << to_json(run, report).dump(2) << "\n";
  } else {
    print(invocation.out, run, report);
  }
  return 0;
}

}  // namespace

void add_eval(CLI::App& app, Invocation& invocation) {
  auto options = std::make_shared<EvalOptions>();
  auto* command = app.add_subcommand("eval", "Evaluate a run's network on the data held out");
  command->add_option("--run,--out", options->run, "The --out directory of a run")
      ->type_name("DIR")
      ->required();
  command
      ->add_option("--weights", options->weights,
                   "Another safetensors file or checkpoint of the same network")
      ->type_name("FILE");
  command->add_option("--data", options->data, "Where the data are (default: as in the run)")
      ->type_name("DIR");
  command->add_option("--batch", options->batch, "Examples at a time")
      ->type_name("N")
      ->check(count())
      ->capture_default_str();
  command->add_flag("--json", options->json, "Print JSON");
  command->callback([options, &invocation] {
    invocation.run = [=, &invocation] { return evaluate(invocation, *options); };
  });
}

}  // namespace halftone::cli
