#include "halftone/data/sets/camvid.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "halftone/base/error.h"
#include "halftone/data/codec/decode.h"
#include "halftone/data/codec/image.h"
#include "halftone/data/sets/file_collection.h"

namespace halftone::data {
namespace {

std::string size_text(int64_t width, int64_t height) {
  return std::to_string(width) + "x" + std::to_string(height);
}

// Names of image and mask in their collections.
struct Pair {
  std::string image, mask;
};

class CamVid : public MaskedImages {
 public:
  // One collection, *.jpg beside *.png, where masks is null.
  CamVid(std::shared_ptr<const FileCollection> images, std::shared_ptr<const FileCollection> masks,
         std::shared_ptr<ImageCache> cache)
      : images_(std::move(images)),
        masks_(masks ? std::move(masks) : images_),
        cache_(std::move(cache)) {
    for (const std::string& name : images_->names()) {
      if (!name.ends_with(".jpg") && (masks_ == images_ || !name.ends_with(".png"))) continue;
      const std::string mask = name.substr(0, name.size() - 4) + ".png";
      if (!masks_->contains(mask)) {
        throw Error("no mask for " + name, masks_->where(mask), images_->source());
      }
      pairs_.push_back({name, mask});
    }
    if (pairs_.empty()) throw Error("no images", "NAME.jpg with NAME.png", images_->source());
  }

  int64_t size() const override { return static_cast<int64_t>(pairs_.size()); }
  int64_t classes() const override { return static_cast<int64_t>(camvid_classes().size()); }

  MaskedImage read(int64_t index) const override {
    const auto& [image, mask] = pairs_[static_cast<size_t>(index)];
    const std::string where = images_->where(image);
    const MaskedImage example{
        get_image(cache_.get(), where, [&] { return decode_colour(images_->read(image), where); }),
        read_mask(mask)};
    if (example.mask.sizes() != example.image.sizes().slice(1)) {
      throw Error("a mask of " + size_text(example.mask.size(1), example.mask.size(0)),
                  "its image's " + size_text(example.image.size(2), example.image.size(1)),
                  masks_->where(mask));
    }
    return example;
  }

  at::Tensor read_mask(int64_t index) const override {
    return read_mask(pairs_[static_cast<size_t>(index)].mask);
  }

 private:
  at::Tensor read_mask(const std::string& name) const {
    return get_image(cache_.get(), masks_->where(name), [&] { return decode_mask(name); });
  }

  at::Tensor decode_mask(const std::string& name) const {
    const std::string content = masks_->read(name);
    const Pixels pixels = decode_image(as_bytes(content), masks_->where(name));
    if (pixels.channels != 1) {
      throw Error("a mask in colour", "one grey channel of classes", masks_->where(name));
    }
    const auto worst = std::max_element(pixels.chw.begin(), pixels.chw.end());
    if (*worst > classes()) {
      const auto place = worst - pixels.chw.begin();
      throw Error("class " + std::to_string(*worst) + " at " +
                      std::to_string(place % pixels.width) + "," +
                      std::to_string(place / pixels.width),
                  "0 to " + std::to_string(classes() - 1) + ", or " + std::to_string(classes()) +
                      " for void",
                  masks_->where(name));
    }
    at::Tensor mask = at::empty({pixels.height, pixels.width}, at::kByte);
    std::memcpy(mask.mutable_data_ptr<uint8_t>(), pixels.chw.data(), pixels.chw.size());
    return mask;
  }

  std::shared_ptr<const FileCollection> images_, masks_;
  std::shared_ptr<ImageCache> cache_;
  std::vector<Pair> pairs_;
};

}  // namespace

std::shared_ptr<const MaskedImages> camvid(const std::filesystem::path& path,
                                           const std::string& split,
                                           std::shared_ptr<ImageCache> cache) {
  const auto collection = [](const std::filesystem::path& where) {
    std::error_code ignored;
    return std::filesystem::exists(where, ignored) ? std::make_shared<const FileCollection>(where)
                                                   : nullptr;
  };
  if (auto archive = collection(path / (split + ".tar"))) {
    return std::make_shared<CamVid>(std::move(archive), nullptr, std::move(cache));
  }
  if (auto images = collection(path / split)) {
    return std::make_shared<CamVid>(std::move(images), collection(path / (split + "annot")),
                                    std::move(cache));
  }
  throw Error("no " + split + ".tar and no directory " + split, "CamVid", path.string());
}

std::vector<std::string> camvid_classes() {
  return {"sky",  "building", "pole", "road",       "sidewalk", "tree",
          "sign", "fence",    "car",  "pedestrian", "bicyclist"};
}

std::vector<std::array<unsigned char, 3>> camvid_colours() {
  return {{128, 128, 128}, {128, 0, 0},   {192, 192, 128}, {128, 64, 128},
          {60, 40, 222},   {128, 128, 0}, {192, 128, 128}, {64, 64, 128},
          {64, 0, 128},    {64, 64, 0},   {0, 128, 192}};
}

}  // namespace halftone::data
