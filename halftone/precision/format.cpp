#include "halftone/precision/format.h"

#include "halftone/base/error.h"
#include "halftone/base/text.h"

namespace halftone {

const char* format_name(Format format) {
  switch (format) {
    case Format::fp64:
      return "fp64";
    case Format::fp32:
      return "fp32";
    case Format::fp16:
      return "fp16";
    case Format::bf16:
      return "bf16";
  }
  return "?";
}

Format parse_format(const std::string& name, const std::string& where) {
  static const std::vector<std::string> names{"fp64", "fp32", "fp16", "bf16"};
  for (Format format : {Format::fp64, Format::fp32, Format::fp16, Format::bf16}) {
    if (name == format_name(format)) return format;
  }
  throw UsageError("unknown format " + quote(name), choices(name, names), where);
}

c10::ScalarType scalar_type(Format format) {
  switch (format) {
    case Format::fp64:
      return c10::ScalarType::Double;
    case Format::fp32:
      return c10::ScalarType::Float;
    case Format::fp16:
      return c10::ScalarType::Half;
    case Format::bf16:
      return c10::ScalarType::BFloat16;
  }
  return c10::ScalarType::Float;
}

}  // namespace halftone
