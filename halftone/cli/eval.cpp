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

Json to_json(const tasks::SavedRun& run, const tasks::EvaluationReport& report) {
  Json json;
  json["task"] = run.config.task;
  json["model"] = run.config.model;
  json["weights"] = run.weights.string();
  json["format"] = format_name(run.config.policy.evaluation);
  json["samples"] = report.samples;
  json["loss"] = report.loss;
  json["accuracy"] = report.accuracy;
  json["top5_accuracy"] = report.top5_accuracy;
  json["samples_per_s"] = report.samples_per_s;
  Json matrix = Json::array();
  for (std::int64_t i = 0; i < report.confusion.classes(); ++i) {
    Json row = Json::array();
    for (std::int64_t j = 0; j < report.confusion.classes(); ++j) {
      row.push_back(report.confusion.count(i, j));
    }
    matrix.push_back(std::move(row));
  }
  json["confusion"] = std::move(matrix);
  return json;
}

std::string number(const char* format, double value) {
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

void print(std::ostream& out, const tasks::SavedRun& run, const tasks::EvaluationReport& report) {
  out << run.config.model << " on " << run.config.task << ", " << run.weights.string() << " in "
      << format_name(run.config.policy.evaluation) << "\n"
      << report.samples << " images, loss " << number("%.4f", report.loss) << ", accuracy "
      << number("%.2f %%", 100 * report.accuracy) << ", top 5 "
      << number("%.2f %%", 100 * report.top5_accuracy) << ", "
      << number("%.0f", report.samples_per_s) << " images/s\n\n";
  const auto names = tasks::find_task(run.config.task).class_names();
  report::TextTable table({"class", "images", "found", "right when said", "most often taken for"});
  for (std::int64_t i = 0; i < report.confusion.classes(); ++i) {
    std::int64_t images = 0, other = -1;
    for (std::int64_t j = 0; j < report.confusion.classes(); ++j) {
      const std::int64_t count = report.confusion.count(i, j);
      images += count;
      if (j != i && count > 0 && (other < 0 || count > report.confusion.count(i, other))) other = j;
    }
    table.add_row({names[static_cast<std::size_t>(i)], std::to_string(images),
                   number("%.1f %%", 100 * report.confusion.recall(i)),
                   number("%.1f %%", 100 * report.confusion.precision(i)),
                   other < 0 ? "–" : names[static_cast<std::size_t>(other)]});
  }
  out << table.str();
}

int evaluate(Invocation& invocation, const EvalOptions& options) {
  tasks::SavedRun run = tasks::load_run(options.run, options.weights);
  if (!options.data.empty()) run.config.data = options.data;
  const tasks::Datasets datasets = open_data(run.config, invocation.err);
  const auto report = tasks::evaluate_run(run, datasets.evaluation, options.batch);
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
  auto* command = app.add_subcommand("eval", "Evaluate a run's network on the test images");
  command->add_option("--run,--out", options->run, "The --out directory of a run")
      ->type_name("DIR")
      ->required();
  command
      ->add_option("--weights", options->weights,
                   "Another safetensors file or checkpoint of the same network")
      ->type_name("FILE");
  command->add_option("--data", options->data, "Where the data are (default: as in the run)")
      ->type_name("DIR");
  command->add_option("--batch", options->batch, "Images at a time")
      ->type_name("N")
      ->check(whole_number(1))
      ->capture_default_str();
  command->add_flag("--json", options->json, "Print JSON");
  command->callback([options, &invocation] {
    invocation.run = [=, &invocation] { return evaluate(invocation, *options); };
  });
}

}  // namespace halftone::cli
