#include "halftone/cli/application.h"

#include <c10/util/Exception.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <iostream>

#include "halftone/base/error.h"
#include "halftone/base/log.h"
#include "halftone/base/text.h"
#include "halftone/cli/command.h"
#include "halftone/ops/enable.h"
#include "halftone/version.h"

namespace halftone::cli {
namespace {

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

std::string command_name(const CLI::App& app) {
  std::string name = "halftone";
  for (const auto* command : app.get_subcommands()) name += " " + command->get_name();
  return name;
}

void to_standard_error(std::string_view channel, std::string_view line) {
  std::cerr << "halftone: " << channel << ": " << line << std::endl;
}

// Warnings as one line each while a command runs.
struct PlainWarnings {
  LogSink before = set_log_sink(to_standard_error);
  ~PlainWarnings() { set_log_sink(before); }
};

void set_up(CLI::App& app, Invocation& invocation) {
  app.set_version_flag("--version", "halftone " HALFTONE_VERSION);
  app.require_subcommand(1);
  app.footer(
      "halftone COMMAND --help tells the options of a command.\n"
      "Exit codes: 0 done, 1 failure, 2 usage, 130 or 143 after a signal.");
  add_train(app, invocation);
  add_compare(app, invocation);
  add_eval(app, invocation);
  add_predict(app, invocation);
  add_tasks(app, invocation);
  add_advise(app, invocation);
  add_inspect(app, invocation);
  add_diff(app, invocation);
  add_doctor(app, invocation);
  add_memory_pass(app, invocation);
}

// CLI11 says only that a command is required.
void check_command(const CLI::App& app, const std::vector<std::string>& arguments) {
  std::vector<std::string> names;
  for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (!command->get_group().empty()) names.push_back(command->get_name());
    if (!arguments.empty() && arguments[0] == command->get_name()) return;
  }
  if (arguments.empty()) throw UsageError("no command", choices("", names));
  if (arguments[0].starts_with('-')) return;
  throw UsageError("unknown command " + quote(arguments[0]), choices(arguments[0], names));
}

int parse(CLI::App& app, std::vector<std::string> arguments, Invocation& invocation) {
  check_command(app, arguments);
  try {
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 takes them
    app.parse(std::move(arguments));
    return 0;
  } catch (const CLI::CallForVersion& version) {
    invocation.out << version.what() << "\n";
  } catch (const CLI::Success&) {
    invocation.out << app.help();
  } catch (const CLI::ParseError& error) {
    invocation.err << command_name(app) << ": " << first_line(error.what()) << "\n";
    return kUsage;
  }
  invocation.run = [] { return 0; };
  return 0;
}

}  // namespace

int run(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err) {
  CLI::App app("Halftone: mixed-precision training, measured against fp32", "halftone");
  const auto fail = [&](const std::string& message, int code) {
    err << command_name(app) << ": " << first_line(message) << std::endl;
    return code;
  };
  try {
    const PlainWarnings warnings;
    Invocation invocation{out, err, {}};
    set_up(app, invocation);
    if (const int code = parse(app, arguments, invocation)) return code;
    enable();
    const int code = invocation.run();
    out.flush();
    return code == 0 && !out ? fail("cannot write the output", kFailure) : code;
  } catch (const UsageError& error) {
    return fail(error.what(), kUsage);
  } catch (const c10::Error& error) {
    return fail(error.what_without_backtrace(), kFailure);
  } catch (const std::bad_alloc&) {
    return fail("out of memory", kFailure);
  } catch (const std::filesystem::filesystem_error& error) {
    return fail(error.path1().string() + ": " + error.code().message(), kFailure);
  } catch (const std::exception& error) {
    return fail(error.what(), kFailure);
  } catch (...) {
    return fail("an exception of unknown type", kFailure);
  }
}

}  // namespace halftone::cli
