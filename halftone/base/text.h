// Small text helpers: globs, the nearest name for a typing error, numbers without a locale.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "halftone/base/export.h"

namespace halftone {

// True where the whole `text` matches: '*' is any run of characters (dots and none included), '?'
// any one, everything else itself. Time: at most |pattern| x |text|.
HALFTONE_API bool glob_match(std::string_view pattern, std::string_view text);
// The same for any of the patterns in a list, with one space between them.
HALFTONE_API bool glob_match_any(std::string_view patterns, std::string_view text);

// The candidate with the smallest edit distance (a letter inserted, deleted or replaced; two
// swapped or one in the wrong case count half), the first of several; "" where none is near: more
// than a third of the letters, but at least two, are wrong.
HALFTONE_API std::string nearest_name(std::string_view given,
                                      const std::vector<std::string>& candidates);

// "a, b, c".
HALFTONE_API std::string join(const std::vector<std::string>& parts,
                              std::string_view separator = ", ");
// The same where all may be too many for a line: "a, b, c, … (1000)", at most `most` of them.
HALFTONE_API std::string join_few(const std::vector<std::string>& parts, std::size_t most = 10);

// What an error expects in place of `given`: "fp32, fp16 or bf16 (did you mean "bf16"?)".
HALFTONE_API std::string choices(std::string_view given,
                                 const std::vector<std::string>& candidates);

// `text` with \", \\, \n and \t in place of these, and other control characters as
// `control` and two hexadecimal digits.
HALFTONE_API std::string escape(std::string_view text, std::string_view control);
// `text` in double quotes on one line: control characters and quotes escaped, long text cut.
HALFTONE_API std::string quote(std::string_view text);

// The shortest text that reads back as the same double ("65536", "0.1", "1e-08"); "inf", "-inf",
// "nan". The same in every locale.
HALFTONE_API std::string format_number(double value);

// The number that the whole text is: decimal, optional sign, "inf" and "nan" in lower case; no
// spaces. Empty where it is anything else or does not fit.
HALFTONE_API std::optional<double> parse_double(std::string_view text);
HALFTONE_API std::optional<std::int64_t> parse_int(std::string_view text);

}  // namespace halftone
