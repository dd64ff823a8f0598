#include "halftone/train/precision_switch.h"

#include <c10/core/ScalarType.h>

#include "halftone/precision/format.h"
#include "halftone/precision/number_formats.h"
#include "halftone/precision/quantize.h"

namespace halftone {

int format_bits(const std::string& name) {
  if (!is_number_format(name)) {
    return static_cast<int>(8 * c10::elementSize(scalar_type(parse_format(name))));
  }
  const kernels::NumberFormat format = number_format(name);
  return 1 + format.exponent_bits + format.mantissa_bits;
}

}  // namespace halftone
