// Many encoded images with labels, decoded once into memory.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "halftone/data/dataset.h"

namespace halftone::data {

struct ListedImage {
  std::string name;
  int64_t label;
  uint64_t place;  // where its reader finds it
};

// What decode_all() reads.
struct ImageList {
  std::string source;  // the archive or directory, for messages
  std::vector<ListedImage> images;
  // The encoded image. Called from several threads at once.
  std::function<std::string(const ListedImage&)> read;
};

// The data set, in the order of the list, that holds all images that can be read and have `shape`;
// a grey image is taken for a colour one. The others are left out, and one warning says how many,
// which and why; more than 1 % of them is an Error.
std::shared_ptr<Dataset> decode_all(const ImageList& list, std::vector<std::string> class_names,
                                    std::array<int64_t, 3> shape, int threads);

}  // namespace halftone::data
