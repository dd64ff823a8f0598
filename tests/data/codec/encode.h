// Writes the small files that the tests of data/ read: gzip, JPEG, PNG, tar.
#pragma once

#include <png.h>
#include <zlib.h>

#include <cstdio>  // jpeglib.h uses FILE
#include <cstdlib>
#include <string>

#include <jpeglib.h>

#include "halftone/data/codec/pixels.h"

namespace halftone::data {

// A smooth image: a gradient whose slopes differ by channel, which JPEG keeps nearly.
inline Pixels gradient(int64_t channels, int64_t height, int64_t width, int64_t shift = 0) {
  Pixels pixels{channels, height, width, {}};
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t y = 0; y < height; ++y) {
      for (int64_t x = 0; x < width; ++x) {
        pixels.chw.push_back(static_cast<uint8_t>((shift + 40 * c + (c + 2) * y + 3 * x) % 200));
      }
    }
  }
  return pixels;
}

inline std::string interleaved(const Pixels& pixels) {
  std::string samples;
  const auto plane = static_cast<size_t>(pixels.height * pixels.width);
  for (size_t i = 0; i < plane; ++i) {
    for (size_t c = 0; c < static_cast<size_t>(pixels.channels); ++c) {
      samples += static_cast<char>(pixels.chw[c * plane + i]);
    }
  }
  return samples;
}

// Four channels are inks (CMYK), with Adobe's marker or without.
inline std::string encode_jpeg(const Pixels& pixels, bool adobe = true) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors;
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* buffer = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &buffer, &size);
  info.image_width = static_cast<JDIMENSION>(pixels.width);
  info.image_height = static_cast<JDIMENSION>(pixels.height);
  info.input_components = static_cast<int>(pixels.channels);
  info.in_color_space = pixels.channels == 1   ? JCS_GRAYSCALE
                        : pixels.channels == 4 ? JCS_CMYK
                                               : JCS_RGB;
  jpeg_set_defaults(&info);
  if (pixels.channels == 4) info.write_Adobe_marker = adobe ? TRUE : FALSE;
  jpeg_set_quality(&info, 100, TRUE);
  info.comp_info[0].h_samp_factor = info.comp_info[0].v_samp_factor = 1;  // keep colour in full
  jpeg_start_compress(&info, TRUE);
  std::string samples = interleaved(pixels);
  for (int64_t y = 0; y < pixels.height; ++y) {
    auto* row = reinterpret_cast<JSAMPROW>(samples.data() + y * pixels.width * pixels.channels);
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  std::string content(reinterpret_cast<char*>(buffer), size);
  jpeg_destroy_compress(&info);
  std::free(buffer);
  return content;
}

// samples: interleaved, as `format` (PNG_FORMAT_RGB and so on) says.
inline std::string encode_png(const std::string& samples, int64_t height, int64_t width,
                              png_uint_32 format) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width);
  image.height = static_cast<png_uint_32>(height);
  image.format = format;
  png_alloc_size_t size = 0;
  png_image_write_to_memory(&image, nullptr, &size, 0, samples.data(), 0, nullptr);
  std::string content(size, '\0');
  png_image_write_to_memory(&image, content.data(), &size, 0, samples.data(), 0, nullptr);
  return content;
}

inline std::string encode_gzip(const std::string& content) {
  z_stream stream{};
  deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, content.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

// One entry of a tar archive: header, content, padding.
inline std::string tar_entry(const std::string& name, const std::string& content, char type = '0',
                             const std::string& prefix = "") {
  std::string header(512, '\0');
  char digits[16];
  header.replace(0, std::min<size_t>(name.size(), 100), name, 0, 100);
  header.replace(100, 7, "0000644");
  std::snprintf(digits, sizeof digits, "%011o", static_cast<unsigned>(content.size()));
  header.replace(124, 11, digits);
  header.replace(148, 8, 8, ' ');
  header[156] = type;
  header.replace(257, 5, "ustar");
  header.replace(263, 2, "00");
  header.replace(345, prefix.size(), prefix);
  unsigned sum = 0;
  for (char byte : header) sum += static_cast<unsigned char>(byte);
  std::snprintf(digits, sizeof digits, "%06o", sum);
  header.replace(148, 6, digits);
  header[154] = '\0';
  return header + content + std::string((512 - content.size() % 512) % 512, '\0');
}

inline std::string tar_end() { return std::string(1024, '\0'); }

}  // namespace halftone::data
