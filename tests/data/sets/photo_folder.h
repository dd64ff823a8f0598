// Folders of a few small photographs in ImageNet's layout.
#pragma once

#include <filesystem>
#include <string>

#include "halftone/base/file.h"
#include "tests/data/codec/encode.h"

namespace halftone {

// Noise over a colour that tells the class: red, green, blue.
inline data::Pixels coloured_photo(int klass, int which, int64_t side = 32) {
  data::Pixels pixels{3, side, side + which, {}};
  for (int64_t c = 0; c < 3; ++c) {
    for (int64_t i = 0; i < pixels.height * pixels.width; ++i) {
      pixels.chw.push_back(
          static_cast<uint8_t>((c == klass ? 170 : 40) + (i * 7 + which * 5) % 50));
    }
  }
  return pixels;
}

inline std::string photo_png(const data::Pixels& pixels) {
  return data::encode_png(data::interleaved(pixels), pixels.height, pixels.width, PNG_FORMAT_RGB);
}

// train/{ant,bee,cow}: `count` each, JPEG and PNG in turns; val: one.
inline void write_photo_folder(const std::filesystem::path& path, int count) {
  const char* names[] = {"ant", "bee", "cow"};
  for (const auto& [split, images] : {std::pair("train", count), {"val", 1}}) {
    for (int klass = 0; klass < 3; ++klass) {
      const auto folder = path / split / names[klass];
      std::filesystem::create_directories(folder);
      for (int i = 0; i < images; ++i) {
        const data::Pixels pixels = coloured_photo(klass, i);
        const std::string name = std::to_string(i);
        if (i % 2) {
          write_file(folder / (name + ".PNG"), photo_png(pixels));
        } else {
          write_file(folder / (name + ".jpg"), data::encode_jpeg(pixels));
        }
      }
    }
  }
}

}  // namespace halftone
