// CamVid: 701 frames of road scenes (Brostow, Fauqueur, Cipolla, "Semantic object classes in
// video", 2009) with the eleven classes of SegNet's version.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "halftone/data/image_cache.h"
#include "halftone/data/mask_batches.h"

namespace halftone::data {

// split: "train", "val" or "test". `path` holds
// - <split>.tar, or a directory <split>, of NAME.jpg with NAME.png beside it; or
// - directories <split> and <split>annot (as SegNet's), of one name in both.
// A mask has one grey channel: a class (0 to 10) or 11, void, for each pixel. Files are listed here
// and decoded when they are asked for; read() throws Error for a mask of another size than its
// image or with another class. cache: of both, decoded; may be null. Throws Error where there are
// no images, or one without its mask.
std::shared_ptr<const MaskedImages> camvid(const std::filesystem::path& path,
                                           const std::string& split,
                                           std::shared_ptr<ImageCache> cache = nullptr);

// sky, building, …
std::vector<std::string> camvid_classes();
// The colours in which the classes are usually shown.
std::vector<std::array<unsigned char, 3>> camvid_colours();

}  // namespace halftone::data
