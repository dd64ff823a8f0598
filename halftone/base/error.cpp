#include "halftone/base/error.h"

namespace halftone {
namespace {

std::string compose(const std::string& given, const std::string& expected,
                    const std::string& where) {
  std::string text = where.empty() ? "" : where + ": ";
  text += given;
  if (!expected.empty()) text += "; expected " + expected;
  return text;
}

}  // namespace

Error::Error(const std::string& message) : std::runtime_error(message), given_(message) {}

Error::Error(const std::string& given, const std::string& expected, const std::string& where)
    : std::runtime_error(compose(given, expected, where)),
      given_(given),
      expected_(expected),
      where_(where) {}

}  // namespace halftone
