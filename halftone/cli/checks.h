// What option values must be, with messages that say what was given and what was expected.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace halftone::cli {

CLI::Validator positive_number();  // finite and above 0
CLI::Validator whole_number(std::int64_t least,
                            std::int64_t most = std::numeric_limits<std::int64_t>::max());
CLI::Validator count();  // 1 to 1e9: of epochs, steps, examples; products of two fit 64 bits
// One of `names`; the message has the nearest.
CLI::Validator one_of(std::vector<std::string> names);

}  // namespace halftone::cli
