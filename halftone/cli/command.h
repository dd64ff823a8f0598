// What the commands share: each adds itself to the parser and leaves what to run.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <ostream>

namespace halftone::cli {

struct Invocation {
  std::ostream& out;
  std::ostream& err;
  std::function<int()> run;  // set by the parser's callback; returns the exit code
};

void add_train(CLI::App& app, Invocation& invocation);
void add_eval(CLI::App& app, Invocation& invocation);
void add_predict(CLI::App& app, Invocation& invocation);
void add_compare(CLI::App& app, Invocation& invocation);
void add_tasks(CLI::App& app, Invocation& invocation);
void add_advise(CLI::App& app, Invocation& invocation);
void add_inspect(CLI::App& app, Invocation& invocation);
void add_diff(CLI::App& app, Invocation& invocation);
void add_doctor(CLI::App& app, Invocation& invocation);
void add_memory_pass(CLI::App& app, Invocation& invocation);  // hidden: compare starts it

}  // namespace halftone::cli
