// Any image format that is read, told by the content.
#pragma once

#include <string>

#include "halftone/data/codec/pixels.h"

namespace halftone::data {

// JPEG or PNG. Throws Error naming the file. Thread-safe.
Pixels decode_image(Bytes content, const std::string& name);

}  // namespace halftone::data
