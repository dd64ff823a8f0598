#include <memory>

#include "halftone/base/file.h"
#include "halftone/cli/checks.h"
#include "halftone/cli/command.h"
#include "halftone/tasks/inspect.h"

namespace halftone::cli {
namespace {

struct InspectOptions {
  std::string run, format, report;
  std::int64_t rows = 20;
};

int inspect(Invocation& invocation, const InspectOptions& options) {
  const tasks::RunRanges ranges = tasks::load_ranges(options.run, options.format);
  const std::filesystem::path page = options.report.empty()
                                         ? std::filesystem::path(options.run) / "report.html"
                                         : std::filesystem::path(options.report);
  write_file(page, tasks::inspect_page(ranges));
  invocation.out << tasks::inspect_text(ranges, static_cast<std::size_t>(options.rows))
                 << "\nheat maps in " << page.string() << "\n";
  return 0;
}

}  // namespace

void add_inspect(CLI::App& app, Invocation& invocation) {
  auto options = std::make_shared<InspectOptions>();
  auto* command = app.add_subcommand(
      "inspect", "Show which layers of a run are near overflow or underflow, and in which format");
  command->add_option("RUN", options->run, "The --out directory of a run")->required();
  command->add_option("--format", options->format, "Danger in this format (default: the run's)")
      ->type_name("NAME")
      ->check(one_of(tasks::inspect_formats()));
  command->add_option("--rows", options->rows, "Of the table")
      ->type_name("N")
      ->check(whole_number(1))
      ->capture_default_str();
  command->add_option("--report", options->report, "The page (default: RUN/report.html)")
      ->type_name("FILE");
  command->callback([options, &invocation] {
    invocation.run = [=, &invocation] { return inspect(invocation, *options); };
  });
}

}  // namespace halftone::cli
