// A small data set in the layout of PASCAL VOC: cells on a slide, drawn as rectangles.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "halftone/base/box.h"
#include "halftone/base/file.h"
#include "tests/data/codec/encode.h"

namespace halftone::data {

struct VocObject {
  std::string name;
  Box box;
  std::string difficult = {};  // "0", "1"; empty: not told
};

inline std::string voc_xml(int64_t height, int64_t width, const std::vector<VocObject>& objects) {
  std::string xml = "<annotation>\n<size><width>" + std::to_string(width) + "</width><height>" +
                    std::to_string(height) + "</height></size>\n";
  for (const auto& [name, box, difficult] : objects) {
    const std::string flag = difficult.empty() ? "" : "<difficult>" + difficult + "</difficult>";
    xml += "<object>\n<name>" + name + "</name>" + flag + "<bndbox><xmin>" +
           std::to_string(box[0]) + "</xmin><ymin>" + std::to_string(box[1]) + "</ymin><xmax>" +
           std::to_string(box[2]) + "</xmax><ymax>" + std::to_string(box[3]) +
           "</ymax></bndbox>\n</object>\n";
  }
  return xml + "</annotation>\n";
}

// Light, the objects dark: red, blue or green by the first letter of their names.
inline Pixels slide(int64_t height, int64_t width, const std::vector<VocObject>& objects) {
  Pixels pixels{3, height, width,
                std::vector<uint8_t>(static_cast<size_t>(3 * height * width), 220)};
  for (const auto& [name, box, difficult] : objects) {
    const int kept = name[0] == 'R' ? 0 : name[0] == 'W' ? 2 : 1;
    for (int64_t c = 0; c < 3; ++c) {
      for (auto y = static_cast<int64_t>(box[1]); y < static_cast<int64_t>(box[3]); ++y) {
        for (auto x = static_cast<int64_t>(box[0]); x < static_cast<int64_t>(box[2]); ++x) {
          pixels.chw[static_cast<size_t>((c * height + y) * width + x)] = c == kept ? 180 : 60;
        }
      }
    }
  }
  return pixels;
}

// NAME.jpg, NAME.xml and NAME in the split's list.
inline void add_voc_image(const std::filesystem::path& root, const std::string& split,
                          const std::string& name, int64_t height, int64_t width,
                          const std::vector<VocObject>& objects) {
  const auto list = root / "ImageSets" / "Main" / (split + ".txt");
  for (const char* folder : {"ImageSets/Main", "JPEGImages", "Annotations"}) {
    std::filesystem::create_directories(root / folder);
  }
  write_file(root / "JPEGImages" / (name + ".jpg"), encode_jpeg(slide(height, width, objects)));
  write_file(root / "Annotations" / (name + ".xml"), voc_xml(height, width, objects));
  std::error_code ignored;
  const std::string before = std::filesystem::exists(list, ignored) ? read_file(list) : "";
  write_file(list, before + name + "\n");
}

}  // namespace halftone::data
