// Data sets in the layout of PASCAL VOC (Everingham et al., IJCV 88, 2010).
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "halftone/data/box_batches.h"
#include "halftone/data/image_cache.h"

namespace halftone::data {

// The images that ImageSets/Main/<split>.txt names, with JPEGImages/NAME.jpg and
// Annotations/NAME.xml, in a directory or a tar (or in the only tar of a directory), below any
// folder. Coordinates are taken as edges in pixels. All annotations are read here, images when they
// are asked for. An image without objects is one. Boxes that reach beyond their image are cut to
// it, those of no area are left out, and one warning counts both. cache: of decoded images; may be
// null. Throws Error for XML that is malformed or lacks what it needs, for a class that is none of
// class_names, and for a file that is missing.
std::shared_ptr<const BoxedImages> pascal_voc(const std::filesystem::path& path,
                                              const std::string& split,
                                              const std::vector<std::string>& class_names,
                                              std::shared_ptr<ImageCache> cache = nullptr);

}  // namespace halftone::data
