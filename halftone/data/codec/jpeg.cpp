#include "halftone/data/codec/jpeg.h"

#include <setjmp.h>

#include <cstdio>  // jpeglib.h uses FILE

#include <jpeglib.h>

namespace halftone::data {
namespace {

struct ErrorManager {
  jpeg_error_mgr base;  // first: libjpeg hands out a pointer to it
  jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void on_error(j_common_ptr info) {
  auto* errors = reinterpret_cast<ErrorManager*>(info->err);
  info->err->format_message(info, errors->message);
  longjmp(errors->jump, 1);
}

void on_message(j_common_ptr info, int level) {
  if (level < 0) on_error(info);  // a warning: the data is damaged
}

struct Decompressor {
  Decompressor() {
    info.err = jpeg_std_error(&errors.base);
    errors.base.error_exit = on_error;
    errors.base.emit_message = on_message;
  }
  ~Decompressor() { jpeg_destroy_decompress(&info); }
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;

  jpeg_decompress_struct info{};
  ErrorManager errors{};
};

// The functions that call setjmp have no object with a destructor in their frame: longjmp passes
// destructors by.

bool read_header(Decompressor& d, Bytes content) {
  if (setjmp(d.errors.jump)) return false;
  jpeg_create_decompress(&d.info);
  jpeg_mem_src(&d.info, content.data(), content.size());
  jpeg_read_header(&d.info, TRUE);
  d.info.out_color_space = d.info.jpeg_color_space == JCS_GRAYSCALE ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_calc_output_dimensions(&d.info);
  return true;
}

bool read_rows(Decompressor& d, uint8_t* row, Pixels& pixels) {
  if (setjmp(d.errors.jump)) return false;
  jpeg_start_decompress(&d.info);
  while (d.info.output_scanline < d.info.output_height) {
    const auto y = static_cast<int64_t>(d.info.output_scanline);
    if (jpeg_read_scanlines(&d.info, &row, 1) == 1) store_row(row, pixels.channels, y, pixels);
  }
  jpeg_finish_decompress(&d.info);
  return true;
}

}  // namespace

bool is_jpeg(Bytes content) {
  return content.size() >= 3 && content[0] == 0xff && content[1] == 0xd8 && content[2] == 0xff;
}

Pixels decode_jpeg(Bytes content, const std::string& name) {
  const auto fail = [&](const char* message) {
    throw Error(std::string("corrupt JPEG (") + message + ")", "a whole JPEG file", name);
  };
  if (!is_jpeg(content)) throw Error("no JPEG header", "a JPEG file", name);
  Decompressor d;
  if (!read_header(d, content)) fail(d.errors.message);
  check_extent(d.info.output_height, d.info.output_width, name);
  Pixels pixels{d.info.output_components, d.info.output_height, d.info.output_width, {}};
  const auto samples = static_cast<size_t>(pixels.channels * pixels.width);
  pixels.chw.resize(samples * static_cast<size_t>(pixels.height));
  std::vector<uint8_t> row(samples);
  if (!read_rows(d, row.data(), pixels)) fail(d.errors.message);
  return pixels;
}

}  // namespace halftone::data
