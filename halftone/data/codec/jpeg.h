// JPEG (ITU-T T.81), decoded by libjpeg-turbo.
#pragma once

#include <string>

#include "halftone/data/codec/pixels.h"

namespace halftone::data {

bool is_jpeg(Bytes content);

// Three channels (RGB), or one where the file is grey. Whatever libjpeg only warns about
// (truncated or damaged data that it fills with grey) is an error here. Throws Error naming the
// file. Thread-safe.
Pixels decode_jpeg(Bytes content, const std::string& name);

}  // namespace halftone::data
