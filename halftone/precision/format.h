// The number formats that a tensor can have while Halftone trains.
#pragma once

#include <c10/core/ScalarType.h>

#include <string>

#include "halftone/base/export.h"

namespace halftone {

enum class Format { fp64, fp32, fp16, bf16 };

// "fp64", "fp32", "fp16", "bf16".
HALFTONE_API const char* format_name(Format format);

// The inverse; throws UsageError that lists the names and the nearest one. where: for the message.
HALFTONE_API Format parse_format(const std::string& name, const std::string& where = "");

HALFTONE_API c10::ScalarType scalar_type(Format format);

inline bool is_half(Format format) { return format == Format::fp16 || format == Format::bf16; }

}  // namespace halftone
