#include "halftone/data/augmentation.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "halftone/base/error.h"
#include "halftone/data/random.h"

namespace halftone::data {
namespace {

constexpr int64_t kOutside = -1;  // a place in the zero padding

// The place in the image of place i of the padded image, i = 0 being the image's first.
int64_t source_place(int64_t i, int64_t extent, Padding padding) {
  if (i >= 0 && i < extent) return i;
  if (padding == Padding::zero) return kOutside;
  return i < 0 ? -i : 2 * (extent - 1) - i;
}

double per_channel(const std::vector<double>& values, int64_t channel, double otherwise) {
  return values.empty() ? otherwise : values[static_cast<size_t>(channel)];
}

void check_statistics(const std::vector<double>& values, int64_t channels, const char* name) {
  if (!values.empty() && static_cast<int64_t>(values.size()) != channels) {
    throw UsageError(std::to_string(values.size()) + " values",
                     "one for each of " + std::to_string(channels) + " channels",
                     std::string("augmentation, ") + name);
  }
  for (double value : values) {
    if (!std::isfinite(value)) {
      throw UsageError(std::to_string(value), "a finite number",
                       std::string("augmentation, ") + name);
    }
  }
}

void check(const Augmentation& a, int64_t channels, int64_t height, int64_t width) {
  const int64_t least = std::min(height, width);
  if (a.crop_padding < 0 || a.crop_padding >= least) {
    throw UsageError(std::to_string(a.crop_padding),
                     "0 to " + std::to_string(least - 1) + " for images of " +
                         std::to_string(height) + "x" + std::to_string(width),
                     "augmentation, crop_padding");
  }
  if (a.cutout < 0) {
    throw UsageError(std::to_string(a.cutout), "0 or more", "augmentation, cutout");
  }
  check_statistics(a.mean, channels, "mean");
  check_statistics(a.standard_deviation, channels, "standard_deviation");
  for (double value : a.standard_deviation) {
    if (value <= 0) {
      throw UsageError(std::to_string(value), "more than 0", "augmentation, standard_deviation");
    }
  }
}

}  // namespace

Augmenter::Augmenter(const Augmentation& augmentation, std::array<int64_t, 3> shape)
    : augmentation_(augmentation), channels_(shape[0]), height_(shape[1]), width_(shape[2]) {
  check(augmentation, channels_, height_, width_);
  tables_.resize(static_cast<size_t>(channels_) * 256);
  for (int64_t c = 0; c < channels_; ++c) {
    const double mean = per_channel(augmentation.mean, c, 0);
    const double deviation = per_channel(augmentation.standard_deviation, c, 1);
    for (int64_t byte = 0; byte < 256; ++byte) {
      tables_[static_cast<size_t>(c * 256 + byte)] =
          static_cast<float>((static_cast<double>(byte) / 255 - mean) / deviation);
    }
  }
}

AugmentationDraw Augmenter::draw(uint64_t key) const {
  CounterRng rng(key);
  AugmentationDraw draw;
  draw.row = rng.below(2 * augmentation_.crop_padding + 1);
  draw.column = rng.below(2 * augmentation_.crop_padding + 1);
  draw.flip = rng.below(2) != 0 && augmentation_.horizontal_flip;
  draw.cutout_row = rng.below(height_);
  draw.cutout_column = rng.below(width_);
  return draw;
}

AugmentationDraw Augmenter::draw(uint64_t seed, int64_t epoch, int64_t index) const {
  const auto example = static_cast<uint64_t>(index);
  AugmentationDraw now = draw(stream_key(seed, epoch, example));
  if (augmentation_.horizontal_flip && augmentation_.alternating_flip) {
    now.flip = draw(stream_key(seed, 0, example)).flip != (epoch % 2 != 0);
  }
  return now;
}

void Augmenter::write(const uint8_t* chw, const AugmentationDraw& draw, float* hwc) const {
  const Padding padding = augmentation_.padding;
  std::vector<int64_t> columns(static_cast<size_t>(width_));
  for (int64_t x = 0; x < width_; ++x) {
    const int64_t place = draw.flip ? width_ - 1 - x : x;
    columns[static_cast<size_t>(x)] =
        source_place(place + draw.column - augmentation_.crop_padding, width_, padding);
  }
  for (int64_t y = 0; y < height_; ++y) {
    const int64_t row = source_place(y + draw.row - augmentation_.crop_padding, height_, padding);
    write_row(chw, row, columns.data(), hwc + y * width_ * channels_);
  }
  if (augmentation_.cutout > 0) cut_out(draw, hwc);
}

void Augmenter::write_row(const uint8_t* chw, int64_t source_row, const int64_t* columns,
                          float* out) const {
  for (int64_t c = 0; c < channels_; ++c) {
    const float* table = tables_.data() + c * 256;
    if (source_row == kOutside) {
      for (int64_t x = 0; x < width_; ++x) out[x * channels_ + c] = table[0];
      continue;
    }
    const uint8_t* row = chw + (c * height_ + source_row) * width_;
    for (int64_t x = 0; x < width_; ++x) {
      const int64_t column = columns[x];
      out[x * channels_ + c] = table[column == kOutside ? 0 : row[column]];
    }
  }
}

void Augmenter::cut_out(const AugmentationDraw& draw, float* hwc) const {
  const int64_t side = augmentation_.cutout;
  const int64_t top = draw.cutout_row - side / 2, left = draw.cutout_column - side / 2;
  const int64_t first = std::max<int64_t>(left, 0), last = std::min(left + side, width_);
  if (last <= first) return;
  for (int64_t y = std::max<int64_t>(top, 0); y < std::min(top + side, height_); ++y) {
    std::fill_n(hwc + (y * width_ + first) * channels_, (last - first) * channels_, 0.f);
  }
}

}  // namespace halftone::data
