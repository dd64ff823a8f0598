#include <memory>

#include "halftone/base/json.h"
#include "halftone/cli/checks.h"
#include "halftone/cli/run_options.h"
#include "halftone/tasks/run_difference.h"

namespace halftone::cli {
namespace {

struct DiffOptions {
  std::string a, b, data;
  std::int64_t batches = 2, rows = 10;
  bool json = false;
};

int diff(Invocation& invocation, const DiffOptions& options) {
  tasks::RunConfig config = tasks::require_same_network(options.a, options.b);
  if (!options.data.empty()) config.data = options.data;
  const auto data = open_data(config, invocation.err);
  const auto difference = tasks::diff_runs(options.a, options.b, *data, options.batches);
  if (options.json) {
    invocation.out << tasks::diff_json(difference).dump(2) << "\n";
  } else {
    invocation.out << tasks::diff_text(difference, static_cast<std::size_t>(options.rows));
  }
  return 0;
}

}  // namespace

void add_diff(CLI::App& app, Invocation& invocation) {
  auto options = std::make_shared<DiffOptions>();
  auto* command = app.add_subcommand(
      "diff", "Show where two runs of the same task and model differ, operation by operation");
  command->footer(
      "Compared are the configurations, the losses, the sampled ranges of the last step that both "
      "have, and the trained weights. Then RUN_A's weights run under both runs' policies on the "
      "same training batches: what differs there is the policies' doing, not the weights'. The "
      "first operation that differs by more than its format's roundings explain is marked.");
  command->add_option("RUN_A", options->a, "The --out directory of a run")->required();
  command->add_option("RUN_B", options->b, "That of another")->required();
  command->add_option("--data", options->data, "Where the data are (default: as in RUN_A)")
      ->type_name("DIR");
  command->add_option("--batches", options->batches, "Batches that both policies run")
      ->type_name("N")
      ->check(whole_number(1, 1000))
      ->capture_default_str();
  command->add_option("--rows", options->rows, "Of the tables of ranges and weights")
      ->type_name("N")
      ->check(whole_number(1))
      ->capture_default_str();
  command->add_flag("--json", options->json, "Print JSON");
  command->callback([options, &invocation] {
    invocation.run = [=, &invocation] { return diff(invocation, *options); };
  });
}

}  // namespace halftone::cli
