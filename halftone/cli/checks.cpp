#include "halftone/cli/checks.h"

#include <cmath>

#include "halftone/base/text.h"

namespace halftone::cli {
namespace {

std::string expected(const std::string& given, const std::string& what) {
  return quote(given) + "; expected " + what;
}

}  // namespace

CLI::Validator positive_number() {
  return {[](std::string& given) {
            const auto value = parse_double(given);
            const bool right = value && std::isfinite(*value) && *value > 0;
            return right ? std::string() : expected(given, "a finite number above 0");
          },
          "", "positive"};
}

CLI::Validator whole_number(std::int64_t least, std::int64_t most) {
  return {[least, most](std::string& given) {
            const auto value = parse_int(given);
            if (value && *value >= least && *value <= most) return std::string();
            std::string range = "a whole number of at least " + std::to_string(least);
            if (most < std::numeric_limits<std::int64_t>::max())
              range += " and at most " + std::to_string(most);
            return expected(given, range);
          },
          "", "whole"};
}

CLI::Validator count() { return whole_number(1, 1'000'000'000); }

CLI::Validator one_of(std::vector<std::string> names) {
  return {[names](std::string& given) {
            for (const auto& name : names) {
              if (given == name) return std::string();
            }
            return expected(given, choices(given, names));
          },
          "", "choice"};
}

}  // namespace halftone::cli
