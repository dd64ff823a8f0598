// PNG (ISO/IEC 15948), decoded by libpng.
#pragma once

#include <string>

#include "halftone/data/codec/pixels.h"

namespace halftone::data {

bool is_png(Bytes content);

// Three channels (RGB), or one where the file is grey, 8 bits each; transparency is dropped.
// Throws Error naming the file. Thread-safe.
Pixels decode_png(Bytes content, const std::string& name);

}  // namespace halftone::data
