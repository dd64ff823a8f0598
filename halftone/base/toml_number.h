// The grammar of TOML's numbers, which is narrower than from_chars'.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace halftone::toml {

// The word without its underscores where it is an integer ("+1_000") or a float ("-0.5e+10",
// "inf"); empty where it is not. Leading zeros, lone points and loose underscores are refused.
std::optional<std::string> integer_digits(std::string_view word);
std::optional<std::string> number_digits(std::string_view word);

// "1979-05-27…", "07:32…"; "0x…", "0o…", "0b…".
bool looks_like_date(std::string_view word);
bool looks_like_other_base(std::string_view word);

}  // namespace halftone::toml
