// Halftone's one exception type.
#pragma once

#include <stdexcept>
#include <string>

#include "halftone/base/export.h"

namespace halftone {

// Thrown for everything that a user can get wrong: input, files, order of calls. `what()` is one
// line: "<where>: <given>; expected <expected>", the parts that are empty left out.
class HALFTONE_API Error : public std::runtime_error {
 public:
  // A plain message, for what has no natural given/expected pair.
  explicit Error(const std::string& message);

  // given: what was found. expected: what would have been right. where: file:line of the TOML,
  // tensor name, offset in the file; may be empty.
  Error(const std::string& given, const std::string& expected, const std::string& where = "");

  const std::string& given() const { return given_; }
  const std::string& expected() const { return expected_; }
  const std::string& where() const { return where_; }

 private:
  std::string given_, expected_, where_;
};

// The caller asked for something that does not make sense (a command-line option, a policy key):
// the command line exits with 2 instead of 1.
class HALFTONE_API UsageError : public Error {
 public:
  using Error::Error;
};

}  // namespace halftone
