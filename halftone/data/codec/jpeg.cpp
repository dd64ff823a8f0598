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
  switch (d.info.jpeg_color_space) {
    case JCS_GRAYSCALE:
      d.info.out_color_space = JCS_GRAYSCALE;
      break;
    case JCS_CMYK:
    case JCS_YCCK:
      d.info.out_color_space = JCS_CMYK;  // libjpeg turns it into nothing else
      break;
    default:
      d.info.out_color_space = JCS_RGB;
  }
  jpeg_calc_output_dimensions(&d.info);
  return true;
}

// A row of inks, in place, to what is left of white light. Adobe's programs, who mark their files,
// store the light that each ink leaves.
void inks_to_colour(uint8_t* row, int64_t width, bool light) {
  for (int64_t x = 0; x < width; ++x) {
    const auto left = [&](int64_t ink) {
      const int value = row[4 * x + ink];
      return light ? value : 255 - value;
    };
    const int colour[] = {left(0), left(1), left(2)}, key = left(3);
    for (int64_t c = 0; c < 3; ++c) {
      row[4 * x + c] = static_cast<uint8_t>((colour[c] * key + 127) / 255);
    }
  }
}

bool read_rows(Decompressor& d, uint8_t* row, Pixels& pixels) {
  if (setjmp(d.errors.jump)) return false;
  jpeg_start_decompress(&d.info);
  while (d.info.output_scanline < d.info.output_height) {
    const auto y = static_cast<int64_t>(d.info.output_scanline);
    if (jpeg_read_scanlines(&d.info, &row, 1) != 1) continue;
    if (d.info.out_color_space == JCS_CMYK) {
      inks_to_colour(row, pixels.width, d.info.saw_Adobe_marker);
    }
    store_row(row, d.info.output_components, y, pixels);
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
  Pixels pixels{
      d.info.output_components == 1 ? 1 : 3, d.info.output_height, d.info.output_width, {}};
  pixels.chw.resize(static_cast<size_t>(pixels.channels * pixels.height * pixels.width));
  std::vector<uint8_t> row(static_cast<size_t>(d.info.output_components * pixels.width));
  if (!read_rows(d, row.data(), pixels)) fail(d.errors.message);
  return pixels;
}

}  // namespace halftone::data
