#include "halftone/data/codec/png.h"

#include <png.h>

#include <algorithm>

namespace halftone::data {
namespace {

// libpng's simplified interface: it does its own setjmp and returns errors.
struct Reader {
  Reader() { image.version = PNG_IMAGE_VERSION; }
  ~Reader() { png_image_free(&image); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  png_image image{};
};

}  // namespace

bool is_png(Bytes content) {
  constexpr uint8_t kSignature[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  return content.size() >= sizeof kSignature &&
         std::equal(std::begin(kSignature), std::end(kSignature), content.begin());
}

Pixels decode_png(Bytes content, const std::string& name) {
  if (!is_png(content)) throw Error("no PNG header", "a PNG file", name);
  Reader reader;
  png_image& image = reader.image;
  const auto check = [&](int succeeded) {
    if (succeeded && !PNG_IMAGE_FAILED(image)) return;
    throw Error(std::string("corrupt PNG (") + image.message + ")", "a whole PNG file", name);
  };
  check(png_image_begin_read_from_memory(&image, content.data(), content.size()));
  check_extent(image.height, image.width, name);
  const bool colour = image.format & PNG_FORMAT_FLAG_COLOR;
  // With the alpha channel, so that libpng does not blend with a background.
  image.format = colour ? PNG_FORMAT_RGBA : PNG_FORMAT_GA;
  const auto stride = static_cast<int64_t>(PNG_IMAGE_SAMPLE_CHANNELS(image.format));
  std::vector<uint8_t> samples(PNG_IMAGE_SIZE(image));
  check(png_image_finish_read(&image, nullptr, samples.data(), 0, nullptr));
  Pixels pixels{stride - 1, image.height, image.width, {}};
  pixels.chw.resize(static_cast<size_t>(pixels.channels * pixels.height * pixels.width));
  for (int64_t y = 0; y < pixels.height; ++y) {
    store_row(samples.data() + y * pixels.width * stride, stride, y, pixels);
  }
  return pixels;
}

}  // namespace halftone::data
