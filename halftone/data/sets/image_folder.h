// Any images in ImageNet's layout: train/CLASS/*.jpg and val/CLASS/*.jpg.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "halftone/data/image_cache.h"
#include "halftone/data/photo_batches.h"

namespace halftone::data {

// The folders of path/train, sorted. Throws Error where there is no such directory or no folder.
std::vector<std::string> image_folder_classes(const std::filesystem::path& path);

// split: "train" or "val". *.jpg, *.jpeg and *.png (grey, palette, CMYK and 16 bits too), listed
// here and decoded, to 8 bits of colour, when they are asked for. Other files are passed over, and
// a warning says how many and which. cache: may be null. Throws Error for a folder that is none of
// classes, a class without images and a directory that is missing.
std::shared_ptr<const Photos> image_folder(const std::filesystem::path& path,
                                           const std::string& split,
                                           const std::vector<std::string>& classes,
                                           std::shared_ptr<ImageCache> cache = nullptr);

}  // namespace halftone::data
