#include <memory>

#include "halftone/cli/checks.h"
#include "halftone/cli/command.h"
#include "halftone/tasks/saved_run.h"

namespace halftone::cli {
namespace {

struct PredictCommand {
  std::string run, weights;
  std::vector<std::string> inputs;
  tasks::PredictOptions options;
  bool json = false;
};

int predict(Invocation& invocation, const PredictCommand& command) {
  tasks::SavedRun run = tasks::load_run(command.run, command.weights);
  const tasks::Answers answers = tasks::predict(run, command.inputs, command.options);
  invocation.out << (command.json ? answers.json.dump(2) + "\n" : answers.text);
  return 0;
}

void add_answer_options(CLI::App& command, tasks::PredictOptions& options) {
  command
      .add_option("--top", options.top,
                  "How many answers to name; of a text: likeliest candidates to draw from")
      ->type_name("N")
      ->check(count());
  command.add_option("--length", options.length, "Of a continued text")
      ->type_name("N")
      ->check(count());
  command
      .add_option("--temperature", options.temperature,
                  "Of drawing a text: above 1 more daring, below more likely")
      ->type_name("X")
      ->check(positive_number());
  command
      .add_option("--pictures", options.pictures,
                  "Where pictures of the answers go (default: the current directory)")
      ->type_name("DIR");
  command.add_option("--seed", options.seed, "Of drawing a text (default 0)")
      ->type_name("N")
      ->check(whole_number(0));
}

}  // namespace

void add_predict(CLI::App& app, Invocation& invocation) {
  auto options = std::make_shared<PredictCommand>();
  auto* command = app.add_subcommand(
      "predict", "Ask a run's network: name what is in images, continue a text, …");
  command
      ->add_option("INPUT", options->inputs,
                   "What the task is about: image files (JPEG or PNG, any size), a text, …")
      ->required();
  command->add_option("--run,--out", options->run, "The --out directory of a run")
      ->type_name("DIR")
      ->required();
  command
      ->add_option("--weights", options->weights,
                   "Another safetensors file or checkpoint of the same network")
      ->type_name("FILE");
  add_answer_options(*command, options->options);
  command->add_flag("--json", options->json, "Print JSON");
  command->callback([options, &invocation] {
    invocation.run = [=, &invocation] { return predict(invocation, *options); };
  });
}

}  // namespace halftone::cli
