// UTF-8 text cut into its characters.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "halftone/base/export.h"

namespace halftone::data {

// The code points of `text`, each as the bytes that it is written with (Unicode 15, table 3-7). The
// views point into `text`. Throws Error with the offset of the first byte that is no UTF-8; where:
// the file, for the message.
HALFTONE_API std::vector<std::string_view> utf8_characters(std::string_view text,
                                                           const std::string& where);

}  // namespace halftone::data
