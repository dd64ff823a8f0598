// The command line `halftone`: parse, call, print.
#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace halftone::cli {

// Exit codes beside 0.
constexpr int kFailure = 1;
constexpr int kUsage = 2;

// arguments: without the program's name. Results go to `out`, messages of one line and progress to
// `err`. Returns the exit code: 0, kFailure, kUsage, or 128 + the signal that ended a run. Never
// throws.
int run(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err);

}  // namespace halftone::cli
