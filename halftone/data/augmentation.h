// What happens to an image between the data set and the batch.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "halftone/base/export.h"

namespace halftone::data {

enum class Padding { zero, reflect };

// Plain data, applied in the order of its fields. An empty Augmentation scales to 0..1.
struct Augmentation {
  // Pads by so many pixels on each side and crops a random window of the image's own size.
  int64_t crop_padding = 0;
  Padding padding = Padding::zero;

  // Mirrors left and right, every second time.
  bool horizontal_flip = false;
  // With horizontal_flip: whether an image is mirrored is drawn once, for epoch 0, and then changes
  // from epoch to epoch, so that two epochs show it both ways (Jordan 2024, arXiv:2404.00498,
  // section 3.6).
  bool alternating_flip = false;

  // Per channel, on a scale of 0..1: (pixel / 255 - mean) / standard_deviation. Empty: 0 and 1.
  std::vector<double> mean, standard_deviation;

  // Sets a square of this side, its centre anywhere in the image, to 0, which is the mean
  // (DeVries and Taylor, arXiv:1708.04552, section 3). 0: none.
  int64_t cutout = 0;
};

// What chance decides for one image.
struct AugmentationDraw {
  int64_t row = 0, column = 0;  // of the crop in the padded image
  bool flip = false;
  int64_t cutout_row = 0, cutout_column = 0;  // the square's centre
};

// An Augmentation made ready for images of one shape. Thread-safe.
class HALFTONE_API Augmenter {
 public:
  // shape: channels, height, width. Throws UsageError.
  Augmenter(const Augmentation& augmentation, std::array<int64_t, 3> shape);

  // The draw depends on `key` alone; every field has its own place in the stream, so that turning
  // cutout on does not move the crops.
  AugmentationDraw draw(uint64_t key) const;
  // That of an example in an epoch: with the key of both, but for an alternating flip.
  AugmentationDraw draw(uint64_t seed, int64_t epoch, int64_t index) const;

  // chw: C*H*W bytes. hwc: C*H*W floats, pixel by pixel (one image of a channels_last batch).
  void write(const uint8_t* chw, const AugmentationDraw& draw, float* hwc) const;

 private:
  void write_row(const uint8_t* chw, int64_t source_row, const int64_t* columns, float* out) const;
  void cut_out(const AugmentationDraw& draw, float* hwc) const;

  Augmentation augmentation_;
  int64_t channels_, height_, width_;
  std::vector<float> tables_;  // (C,256): the normalised value of each byte
};

}  // namespace halftone::data
