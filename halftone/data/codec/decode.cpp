#include "halftone/data/codec/decode.h"

#include <algorithm>
#include <cstdio>

#include "halftone/data/codec/jpeg.h"
#include "halftone/data/codec/png.h"

namespace halftone::data {
namespace {

std::string first_bytes(Bytes content) {
  if (content.empty()) return "an empty file";
  std::string text = "a file that starts with";
  for (uint8_t byte : content.first(std::min<size_t>(content.size(), 4))) {
    char hex[4];
    std::snprintf(hex, sizeof hex, " %02x", byte);
    text += hex;
  }
  return text;
}

}  // namespace

Pixels decode_image(Bytes content, const std::string& name) {
  if (is_jpeg(content)) return decode_jpeg(content, name);
  if (is_png(content)) return decode_png(content, name);
  throw Error(first_bytes(content), "a JPEG or PNG image", name);
}

}  // namespace halftone::data
