#include <cstdio>
#include <memory>

#include "halftone/base/json.h"
#include "halftone/cli/checks.h"
#include "halftone/cli/command.h"
#include "halftone/report/text_table.h"
#include "halftone/tasks/saved_run.h"

namespace halftone::cli {
namespace {

struct PredictOptions {
  std::string run, weights;
  std::vector<std::string> images;
  std::size_t top = 1;
  bool json = false;
};

Json to_json(const tasks::Prediction& prediction, std::size_t top) {
  Json json;
  json["image"] = prediction.image;
  json["class"] = prediction.label;
  json["probability"] = prediction.probability;
  Json ranking = Json::array();
  for (std::size_t i = 0; i < top && i < prediction.ranking.size(); ++i) {
    Json entry;
    entry["class"] = prediction.ranking[i].first;
    entry["probability"] = prediction.ranking[i].second;
    ranking.push_back(std::move(entry));
  }
  json["top"] = std::move(ranking);
  return json;
}

void print(std::ostream& out, const std::vector<tasks::Prediction>& predictions, std::size_t top) {
  report::TextTable table({"image", "class", "probability"});
  for (const auto& prediction : predictions) {
    for (std::size_t i = 0; i < top && i < prediction.ranking.size(); ++i) {
      char text[32];
      std::snprintf(text, sizeof text, "%.2f %%", 100 * prediction.ranking[i].second);
      table.add_row({i == 0 ? prediction.image : "", prediction.ranking[i].first, text});
    }
  }
  out << table.str();
}

int predict(Invocation& invocation, const PredictOptions& options) {
  tasks::SavedRun run = tasks::load_run(options.run, options.weights);
  const auto predictions = tasks::predict(run, {options.images.begin(), options.images.end()});
  if (!options.json) {
    print(invocation.out, predictions, options.top);
    return 0;
  }
  Json list = Json::array();
  for (const auto& prediction : predictions) list.push_back(to_json(prediction, options.top));
  invocation.out << list.dump(2) << "\n";
  return 0;
}

}  // namespace

void add_predict(CLI::App& app, Invocation& invocation) {
  auto options = std::make_shared<PredictOptions>();
  auto* command = app.add_subcommand("predict", "Name what is in images (JPEG or PNG, any size)");
  command->add_option("IMAGE", options->images, "Image files")->required();
  command->add_option("--run,--out", options->run, "The --out directory of a run")
      ->type_name("DIR")
      ->required();
  command
      ->add_option("--weights", options->weights,
                   "Another safetensors file or checkpoint of the same network")
      ->type_name("FILE");
  command->add_option("--top", options->top, "How many classes to name")
      ->type_name("N")
      ->check(whole_number(1))
      ->capture_default_str();
  command->add_flag("--json", options->json, "Print JSON");
  command->callback([options, &invocation] {
    invocation.run = [=, &invocation] { return predict(invocation, *options); };
  });
}

}  // namespace halftone::cli
