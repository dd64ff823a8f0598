// Another process, started and waited for.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace halftone::tasks {

struct ChildOutput {
  int exit_code = 0;  // 128 + the signal where one ended it
  std::string out, err;
};

// Runs `program` with these arguments, standard input empty, and collects what it prints. Throws
// Error where it can't be started.
ChildOutput run_child(const std::filesystem::path& program,
                      const std::vector<std::string>& arguments);

// The file of the running program.
std::filesystem::path this_program();

}  // namespace halftone::tasks
