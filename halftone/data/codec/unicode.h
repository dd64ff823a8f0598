// Properties and mappings of Unicode characters, from utf8proc (Unicode 14 or later).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace halftone::data {

// The code point of one character as utf8_characters() gives it, and its bytes.
char32_t code_point(std::string_view character);
void append_utf8(std::string& text, char32_t code);

bool is_white_space(char32_t code);  // White_Space=yes
bool is_punctuation(char32_t code);  // general category P*
bool is_letter_or_number(char32_t code);
bool is_control(char32_t code);            // control, format, surrogate, private use
bool is_mark_nonspacing(char32_t code);    // general category Mn
int combining_class(char32_t code);        // 0: a starter
char32_t lower_case(char32_t code);        // the simple mapping, one character to one
std::u32string decomposed(char32_t code);  // canonically, as far as it goes (UAX #15)

}  // namespace halftone::data
