#include "halftone/tasks/advise.h"

#include <algorithm>
#include <filesystem>
#include <memory>

#include "halftone/base/error.h"
#include "halftone/base/file.h"
#include "halftone/base/log.h"
#include "halftone/base/text.h"
#include "halftone/cli/checks.h"
#include "halftone/cli/run_options.h"
#include "halftone/tasks/advice_cache.h"
#include "halftone/tasks/advise_report.h"

namespace halftone::cli {
namespace {

struct AdviseCommandOptions : RunOptions {
  std::optional<double> max_error;
  std::int64_t batches = 2;
  std::vector<std::string> formats{"bf16", "fp16"};
  std::vector<std::string> keep;
  bool overwrite = false;
};

// Before anything is measured.
void require_policy_file(const std::filesystem::path& path, bool overwrite) {
  if (std::filesystem::is_directory(path)) {
    throw UsageError("a directory", "a file for the policy", path.string());
  }
  if (!overwrite && std::filesystem::exists(path)) {
    throw UsageError("a file is there already", "another --out, or --overwrite", path.string());
  }
  AtomicFile probe(path);  // discarded
}

// Only what has looked at all formats, on a machine that had nothing else to do, speaks for
// --precision auto. Returns whether it does.
bool keep_for_auto(const tasks::TaskAdvice& advice, const tasks::TaskData& data) {
  try {
    if (!advice.steady()) throw Error("steps of one kind took very different times");
    tasks::save_advice(tasks::advice_directory(), tasks::advice_key(advice.config, data), advice);
    return true;
  } catch (const Error& error) {
    warn(std::string("the advice is not kept for --precision auto: ") + error.what());
    return false;
  }
}

int advise(Invocation& invocation, const AdviseCommandOptions& options) {
  const std::filesystem::path out = options.out.empty() ? "policy.toml" : options.out;
  tasks::RunConfig config = make_config(options);
  require_policy_file(out, options.overwrite);
  tasks::AdviseOptions advise_options;
  advise_options.max_error = options.max_error;
  advise_options.batches = options.batches;
  std::erase_if(advise_options.formats, [&](Format format) {
    return std::find(options.formats.begin(), options.formats.end(), format_name(format)) ==
           options.formats.end();
  });
  advise_options.keep = options.keep;
  advise_options.progress = [&](const std::string& line) { invocation.err << line << std::endl; };
  const auto data = open_data(config, invocation.err, open_options(options));
  const tasks::TaskAdvice advice = tasks::advise(config, *data, advise_options);
  write_file(out, tasks::advice_toml(advice));
  const bool all_formats = advise_options.formats == tasks::AdviseOptions().formats;
  const bool kept = all_formats && keep_for_auto(advice, *data);
  if (options.json) {
    invocation.out << tasks::advice_json(advice).dump(2) << "\n";
  } else {
    invocation.out << tasks::advice_text(advice) << "policy in " << out.string()
                   << ", for train --policy"
                   << (kept ? "; --precision auto takes it, too\n" : "\n");
  }
  return 0;
}

}  // namespace

void add_advise(CLI::App& app, Invocation& invocation) {
  auto options = std::make_shared<AdviseCommandOptions>();
  auto* command = app.add_subcommand(
      "advise",
      "Choose the precision of every operation of a task's network by measurement, and write it as "
      "a policy");
  add_task_options(*command, *options);
  command
      ->add_option("--max-error", options->max_error,
                   "What the policy may cost: the gradient's error relative to fp32's (default: "
                   "half of what differs from batch to batch, at least 0.01)")
      ->type_name("X")
      ->check(positive_number());
  command
      ->add_option("--batches", options->batches, "Batches that errors and noise are measured on")
      ->type_name("N")
      ->check(whole_number(2))
      ->capture_default_str();
  command->add_option("--formats", options->formats, "Half formats to look at (default: bf16,fp16)")
      ->type_name("NAME")
      ->allow_extra_args(false)  // TASK may follow
      ->delimiter(',')
      ->check(one_of({"bf16", "fp16"}));
  command
      ->add_option("--keep", options->keep,
                   "Leave these in fp32: names of parameters, modules or operations, * and ? as in "
                   "a shell")
      ->type_name("GLOB")
      ->allow_extra_args(false)
      ->delimiter(',');
  command->add_option("--out", options->out, "The policy's file (default: policy.toml)")
      ->type_name("FILE");
  command->add_flag("--overwrite", options->overwrite,
                    "Let --out replace a file that is there already");
  command->callback([options, &invocation] {
    invocation.run = [=, &invocation] { return advise(invocation, *options); };
  });
}

}  // namespace halftone::cli
