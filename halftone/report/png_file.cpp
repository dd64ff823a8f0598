// Canvas::png: libpng behind its error and write callbacks.
#include <png.h>

#include <string>
#include <vector>

#include "halftone/base/error.h"
#include "halftone/report/canvas.h"

namespace halftone::report {
namespace {

void append(png_structp png, png_bytep data, png_size_t size) {
  static_cast<std::string*>(png_get_io_ptr(png))->append(reinterpret_cast<char*>(data), size);
}

[[noreturn]] void fail(png_structp, png_const_charp message) {
  throw Error(std::string("libpng: ") + message);
}

void ignore(png_structp, png_const_charp) {}

struct Writer {
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, fail, ignore);
  png_infop info = png ? png_create_info_struct(png) : nullptr;
  ~Writer() { png_destroy_write_struct(&png, &info); }
};

}  // namespace

std::string Canvas::png() const {
  Writer writer;
  if (!writer.info) throw Error("libpng: out of memory");
  std::string bytes;
  png_set_write_fn(writer.png, &bytes, append, nullptr);
  png_set_IHDR(writer.png, writer.info, static_cast<png_uint_32>(width_),
               static_cast<png_uint_32>(height_), 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(writer.png, writer.info);
  for (int y = 0; y < height_; ++y) {
    png_write_row(writer.png,
                  &rgb_[static_cast<std::size_t>(y) * static_cast<std::size_t>(width_) * 3]);
  }
  png_write_end(writer.png, nullptr);
  return bytes;
}

}  // namespace halftone::report
