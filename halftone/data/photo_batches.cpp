#include "halftone/data/photo_batches.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <tuple>
#include <utility>

#include "halftone/base/error.h"
#include "halftone/base/text.h"
#include "halftone/data/random.h"

namespace halftone::data {
namespace {

constexpr int kTries = 10;

void require_view(bool fits, const char* name, double given, const char* expected) {
  if (!fits) throw UsageError(format_number(given), expected, std::string("photo view, ") + name);
}

void check(const PhotoView& v) {
  require_view(v.height >= 1, "height", static_cast<double>(v.height), "1 or more");
  require_view(v.width >= 1, "width", static_cast<double>(v.width), "1 or more");
  require_view(v.least_area > 0 && v.least_area <= 1, "least_area", v.least_area,
               "more than 0, at most 1");
  require_view(v.most_ratio >= 1 && std::isfinite(v.most_ratio), "most_ratio", v.most_ratio,
               "1 or more");
  require_view(v.resize >= std::max(v.height, v.width), "resize", static_cast<double>(v.resize),
               "height and width, or more");
}

// To the nearest, halves to even, as Python's round().
int64_t rounded(double value) { return static_cast<int64_t>(std::nearbyint(value)); }

Window whole_pixels(int64_t top, int64_t left, int64_t height, int64_t width) {
  return {.top = static_cast<double>(top),
          .left = static_cast<double>(left),
          .height = static_cast<double>(height),
          .width = static_cast<double>(width)};
}

Window allowed_middle(double most_ratio, int64_t image_height, int64_t image_width) {
  const auto most = [most_ratio](int64_t side) {
    return rounded(static_cast<double>(side) * most_ratio);
  };
  const int64_t height = std::min(image_height, most(image_width));
  const int64_t width = std::min(image_width, most(image_height));
  return whole_pixels((image_height - height) / 2, (image_width - width) / 2, height, width);
}

// One axis of resized_centre_crop(): where `count` pixels of `resized`, which are made of `extent`,
// begin, and how long they are.
std::pair<double, double> centre(int64_t extent, int64_t resized, int64_t count) {
  const double scale = static_cast<double>(extent) / static_cast<double>(resized);
  const int64_t first = rounded(static_cast<double>(resized - count) / 2);
  return {static_cast<double>(first) * scale, static_cast<double>(count) * scale};
}

// height*width*3 floats at `hwc`. A crop is resampled as if there were nothing around it.
void fill_photo(const PhotoView& view, const at::Tensor& image, uint64_t key, float* hwc) {
  const int64_t image_height = image.size(1), image_width = image.size(2);
  if (!view.augment) {
    fill_image(image, resized_centre_crop(view, image_height, image_width), view.height, view.width,
               view.mean, view.deviation, hwc);
    return;
  }
  const Window crop = random_resized_crop(view, image_height, image_width, key);
  const auto height = static_cast<int64_t>(crop.height), width = static_cast<int64_t>(crop.width);
  const at::Tensor part = image.narrow(1, static_cast<int64_t>(crop.top), height)
                              .narrow(2, static_cast<int64_t>(crop.left), width);
  Window whole = whole_window(height, width);
  whole.flip_x = crop.flip_x;
  fill_image(part, whole, view.height, view.width, view.mean, view.deviation, hwc);
}

}  // namespace

Window random_resized_crop(const PhotoView& view, int64_t image_height, int64_t image_width,
                           uint64_t key) {
  CounterRng rng(key);
  const bool flip = rng.below(2) != 0;
  const double image_area = static_cast<double>(image_height) * static_cast<double>(image_width);
  const double most = std::log(view.most_ratio);
  Window crop = allowed_middle(view.most_ratio, image_height, image_width);
  for (int i = 0; i < kTries; ++i) {
    const double area = rng.between(view.least_area, 1) * image_area;
    const double ratio = std::exp(rng.between(-most, most));
    const int64_t height = rounded(std::sqrt(area / ratio)),
                  width = rounded(std::sqrt(area * ratio));
    if (height < 1 || width < 1 || height > image_height || width > image_width) continue;
    const int64_t top = rng.below(image_height - height + 1);
    crop = whole_pixels(top, rng.below(image_width - width + 1), height, width);
    break;
  }
  crop.flip_x = flip;
  return crop;
}

Window resized_centre_crop(const PhotoView& view, int64_t image_height, int64_t image_width) {
  const int64_t shorter = std::min(image_height, image_width);
  // The longer side is rounded down, as torchvision does it.
  const auto resized = [&](int64_t side) { return view.resize * side / shorter; };
  Window window;
  std::tie(window.top, window.height) = centre(image_height, resized(image_height), view.height);
  std::tie(window.left, window.width) = centre(image_width, resized(image_width), view.width);
  return window;
}

at::Tensor photo_input(PhotoView view, const at::Tensor& image) {
  view.augment = false;
  at::Tensor input = at::empty({1, image.size(0), view.height, view.width}, at::kFloat,
                               at::MemoryFormat::ChannelsLast);
  fill_photo(view, image, 0, input.mutable_data_ptr<float>());
  return input;
}

PhotoBatches::PhotoBatches(std::shared_ptr<const Photos> photos, const PhotoView& view)
    : photos_(std::move(photos)), view_(view) {
  check(view);
}

Batch PhotoBatches::build(std::span<const int64_t> indices, int64_t epoch, uint64_t seed) const {
  const auto count = static_cast<int64_t>(indices.size());
  Batch batch;
  batch.input =
      at::empty({count, 3, view_.height, view_.width}, at::kFloat, at::MemoryFormat::ChannelsLast);
  batch.target = at::empty({count}, at::kLong);
  batch.indices.assign(indices.begin(), indices.end());
  auto* input = batch.input.mutable_data_ptr<float>();
  auto* target = batch.target.mutable_data_ptr<int64_t>();
  for (const int64_t index : indices) {
    fill_photo(view_, photos_->read(index), stream_key(seed, epoch, static_cast<uint64_t>(index)),
               input);
    input += 3 * view_.height * view_.width;
    *target++ = photos_->label(index);
  }
  return batch;
}

}  // namespace halftone::data
