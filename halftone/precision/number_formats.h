// Number formats by name, as the kernels take them.
#pragma once

#include <string>

#include "halftone/base/export.h"
#include "halftone/kernels/quantize/number_format.h"

namespace halftone {

// Throws UsageError that lists the names for one that it does not know.
HALFTONE_API const kernels::NumberFormat& number_format(const std::string& name);

}  // namespace halftone
