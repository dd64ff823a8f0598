// Small data sets made up for the tests of data/.
#pragma once

#include <ATen/Functions.h>

#include <atomic>
#include <stdexcept>

#include "halftone/data/loader.h"

namespace halftone::data {

inline std::vector<std::string> ten_names() {
  return {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
}

// `count` images of 3x8x8; byte k of image i is (31 i + 7 k) mod 256, its label i mod 10.
inline std::shared_ptr<Dataset> numbered_images(int64_t count) {
  at::Tensor images = at::empty({count, 3, 8, 8}, at::kByte);
  auto* pixels = images.mutable_data_ptr<uint8_t>();
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t k = 0; k < 192; ++k) *pixels++ = static_cast<uint8_t>(31 * i + 7 * k);
    labels.push_back(i % 10);
  }
  return std::make_shared<MemoryDataset>(images, labels, ten_names());
}

// Counts how often an image is read; throws std::out_of_range for image `broken`.
class CountingDataset : public Dataset {
 public:
  explicit CountingDataset(int64_t count, int64_t broken = -1)
      : source_(numbered_images(count)), broken_(broken) {}
  int64_t size() const override { return source_->size(); }
  int64_t classes() const override { return 10; }
  std::array<int64_t, 3> image_shape() const override { return {3, 8, 8}; }
  at::Tensor image(int64_t index) const override {
    ++reads;
    if (index == broken_) throw std::out_of_range("image 5 is out of reach");
    return source_->image(index);
  }
  int64_t label(int64_t index) const override { return source_->label(index); }

  mutable std::atomic<int> reads{0};

 private:
  std::shared_ptr<Dataset> source_;
  int64_t broken_;
};

inline Augmentation everything() {
  Augmentation a;
  a.crop_padding = 2;
  a.padding = Padding::reflect;
  a.horizontal_flip = true;
  a.mean = {0.4, 0.5, 0.6};
  a.standard_deviation = {0.2, 0.25, 0.3};
  a.cutout = 3;
  return a;
}

// What is left of the epoch under way.
inline std::vector<Batch> rest(Loader& loader) {
  std::vector<Batch> batches;
  while (auto batch = loader.next()) batches.push_back(std::move(*batch));
  return batches;
}

inline bool same(const Batch& a, const Batch& b) {
  return a.indices == b.indices && at::equal(a.input, b.input) && at::equal(a.target, b.target);
}

inline bool same(const std::vector<Batch>& a, const std::vector<Batch>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!same(a[i], b[i])) return false;
  }
  return true;
}

}  // namespace halftone::data
