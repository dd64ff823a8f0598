// What an encoder's options may be.
#pragma once

#include "halftone/models/encoder.h"

namespace halftone::models {

// The same; throws UsageError that names the option.
const EncoderOptions& checked_encoder_options(const EncoderOptions& options);

}  // namespace halftone::models
