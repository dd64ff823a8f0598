// The storage formats of a kernel's operands, fp32 among them, and single elements by format.
#pragma once

#include <cstdint>
#include <cstring>

#include "halftone/base/half.h"

namespace halftone::kernels {

enum class Element : std::uint8_t { fp32, fp16, bf16 };

// The half format of an element that is not fp32.
constexpr HalfFormat half_format(Element format) {
  return format == Element::fp16 ? HalfFormat::fp16 : HalfFormat::bf16;
}

constexpr Element element_of(HalfFormat format) {
  return format == HalfFormat::fp16 ? Element::fp16 : Element::bf16;
}

constexpr std::int64_t element_size(Element format) { return format == Element::fp32 ? 4 : 2; }

inline const void* element_address(Element format, const void* data, std::int64_t index) {
  return static_cast<const char*>(data) + index * element_size(format);
}

inline void* element_address(Element format, void* data, std::int64_t index) {
  return static_cast<char*>(data) + index * element_size(format);
}

inline float element_value(Element format, const void* data, std::int64_t index) {
  const void* address = element_address(format, data, index);
  if (format == Element::fp32) {
    float value;
    std::memcpy(&value, address, sizeof value);
    return value;
  }
  std::uint16_t bits;
  std::memcpy(&bits, address, sizeof bits);
  return half_to_float(half_format(format), bits);
}

inline void set_element(Element format, void* data, std::int64_t index, float value) {
  void* address = element_address(format, data, index);
  if (format == Element::fp32) {
    std::memcpy(address, &value, sizeof value);
    return;
  }
  const std::uint16_t bits = float_to_half(half_format(format), value);
  std::memcpy(address, &bits, sizeof bits);
}

}  // namespace halftone::kernels
