#include "halftone/data/window.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "halftone/base/error.h"
#include "halftone/base/text.h"
#include "halftone/data/random.h"

namespace halftone::data {
namespace {

void require_window(bool fits, const char* name, double given, const char* expected) {
  if (!fits) throw UsageError(format_number(given), expected, std::string("window, ") + name);
}

// One axis of a window over `extent` pixels, filling `count`.
struct WindowAxis {
  double start, length;
  bool flip;
  int64_t count;

  double step() const { return length / static_cast<double>(count); }
  // The place in the image of the middle of pixel i.
  double centre(int64_t i) const {
    return start + (static_cast<double>(flip ? count - 1 - i : i) + 0.5) * step();
  }
};

// The pixels of the image that one pixel is made of; none where it is outside.
struct Taps {
  int64_t first = 0;
  std::vector<float> weights;
};

std::vector<Taps> make_taps(const WindowAxis& axis, int64_t extent) {
  const double radius = std::max(axis.step(), 1.0);
  std::vector<Taps> all(static_cast<size_t>(axis.count));
  for (int64_t i = 0; i < axis.count; ++i) {
    const double centre = axis.centre(i);
    if (centre < 0 || centre >= static_cast<double>(extent)) continue;
    Taps& taps = all[static_cast<size_t>(i)];
    const auto first = static_cast<int64_t>(std::floor(centre - radius));
    const auto last = static_cast<int64_t>(std::ceil(centre + radius));
    taps.first = std::max<int64_t>(first, 0);
    double sum = 0;
    for (int64_t k = taps.first; k <= std::min(last, extent - 1); ++k) {
      const double distance = std::abs(static_cast<double>(k) + 0.5 - centre) / radius;
      taps.weights.push_back(static_cast<float>(std::max(1 - distance, 0.0)));
      sum += static_cast<double>(taps.weights.back());
    }
    for (float& weight : taps.weights) weight /= static_cast<float>(sum);
  }
  return all;
}

// One row of the image (width bytes) as `columns` make it.
void resample_row(const uint8_t* row, const std::vector<Taps>& columns, float* out) {
  for (size_t x = 0; x < columns.size(); ++x) {
    const uint8_t* from = row + columns[x].first;
    float sum = 0;
    for (size_t k = 0; k < columns[x].weights.size(); ++k) {
      sum += columns[x].weights[k] * static_cast<float>(from[k]);
    }
    out[x] = sum;
  }
}

WindowAxis rows_of(const Window& window, int64_t height) {
  return {window.top, window.height, window.flip_y, height};
}
WindowAxis columns_of(const Window& window, int64_t width) {
  return {window.left, window.width, window.flip_x, width};
}

// The smallest and the largest offset of a window within the image, or around it.
double draw_offset(CounterRng& rng, double image, double window) {
  const double room = image - window;
  return rng.between(std::min(room, 0.0), std::max(room, 0.0));
}

}  // namespace

void check(const WindowOptions& o) {
  require_window(o.height >= 1, "height", static_cast<double>(o.height), "1 or more");
  require_window(o.width >= 1, "width", static_cast<double>(o.width), "1 or more");
  require_window(o.least_scale > 0, "least_scale", o.least_scale, "more than 0");
  require_window(o.most_scale >= o.least_scale && std::isfinite(o.most_scale), "most_scale",
                 o.most_scale, "least_scale or more");
  require_window(o.stretch >= 1 && std::isfinite(o.stretch), "stretch", o.stretch, "1 or more");
  require_window(o.brightness >= 0 && o.brightness <= 1, "brightness", o.brightness, "0 to 1");
  require_window(o.contrast >= 0 && o.contrast < 1, "contrast", o.contrast, "0 to less than 1");
}

Window draw_window(const WindowOptions& options, int64_t image_height, int64_t image_width,
                   uint64_t key) {
  CounterRng rng(key);
  Window window;
  // Uniform in the logarithm: twice as large is as likely as half as large.
  const double scale =
      std::exp(rng.between(std::log(options.least_scale), std::log(options.most_scale)));
  const double stretch = std::exp(rng.between(-1, 1) * std::log(options.stretch) / 2);
  const auto height = static_cast<double>(image_height), width = static_cast<double>(image_width);
  window.height = height / (scale * stretch);
  window.width = width * stretch / scale;
  window.top = draw_offset(rng, height, window.height);
  window.left = draw_offset(rng, width, window.width);
  window.flip_x = rng.below(2) != 0 && options.horizontal_flip;
  window.flip_y = rng.below(2) != 0 && options.vertical_flip;
  window.gain = 1 + rng.between(-options.contrast, options.contrast);
  window.shift = rng.between(-options.brightness, options.brightness);
  return window;
}

Window whole_window(int64_t image_height, int64_t image_width) {
  Window window;
  window.height = static_cast<double>(image_height);
  window.width = static_cast<double>(image_width);
  return window;
}

void fill_image(const at::Tensor& image, const Window& window, int64_t height, int64_t width,
                const std::array<double, 3>& mean, const std::array<double, 3>& deviation,
                float* hwc) {
  if (image.dim() != 3 || image.scalar_type() != at::kByte || image.size(0) > 3) {
    throw Error("an image of " + std::to_string(image.dim()) + " dimensions",
                "uint8 (C,H,W), up to 3 channels", "window");
  }
  const at::Tensor pixels = image.contiguous();
  const int64_t channels = image.size(0), image_height = image.size(1), image_width = image.size(2);
  const auto rows = make_taps(rows_of(window, height), image_height);
  const auto columns = make_taps(columns_of(window, width), image_width);
  std::fill_n(hwc, height * width * channels, 0.f);
  std::vector<float> wide(static_cast<size_t>(image_height * width));  // resampled along x
  std::vector<float> sum(static_cast<size_t>(width));
  for (int64_t c = 0; c < channels; ++c) {
    const uint8_t* plane = pixels.const_data_ptr<uint8_t>() + c * image_height * image_width;
    for (int64_t y = 0; y < image_height; ++y) {
      resample_row(plane + y * image_width, columns, wide.data() + y * width);
    }
    const auto k = static_cast<size_t>(c);
    const auto factor = static_cast<float>(window.gain / (255 * deviation[k]));
    const auto offset =
        static_cast<float>((0.5 - 0.5 * window.gain + window.shift - mean[k]) / deviation[k]);
    for (int64_t y = 0; y < height; ++y) {
      const Taps& taps = rows[static_cast<size_t>(y)];
      if (taps.weights.empty()) continue;
      std::fill(sum.begin(), sum.end(), 0.f);
      for (size_t i = 0; i < taps.weights.size(); ++i) {
        const float* row = wide.data() + (taps.first + static_cast<int64_t>(i)) * width;
        for (size_t x = 0; x < sum.size(); ++x) sum[x] += taps.weights[i] * row[x];
      }
      float* out = hwc + y * width * channels + c;
      for (size_t x = 0; x < sum.size(); ++x) {
        if (!columns[x].weights.empty()) {
          out[static_cast<int64_t>(x) * channels] = sum[x] * factor + offset;
        }
      }
    }
  }
}

void fill_mask(const at::Tensor& mask, const Window& window, int64_t height, int64_t width,
               int64_t outside, int64_t* out) {
  const at::Tensor classes = mask.contiguous();
  const auto* from = classes.const_data_ptr<uint8_t>();
  const int64_t mask_height = mask.size(0), mask_width = mask.size(1);
  const WindowAxis rows = rows_of(window, height), columns = columns_of(window, width);
  const auto place = [](const WindowAxis& axis, int64_t i, int64_t extent) {
    const auto at = static_cast<int64_t>(std::floor(axis.centre(i)));
    return at >= 0 && at < extent ? at : -1;
  };
  std::vector<int64_t> xs;
  for (int64_t x = 0; x < width; ++x) xs.push_back(place(columns, x, mask_width));
  for (int64_t y = 0; y < height; ++y) {
    const int64_t row = place(rows, y, mask_height);
    for (int64_t x = 0; x < width; ++x) {
      const int64_t column = xs[static_cast<size_t>(x)];
      *out++ = row < 0 || column < 0 ? outside : from[row * mask_width + column];
    }
  }
}

Window fill_view(const ImageView& view, const at::Tensor& image, uint64_t key, float* hwc) {
  const Window window = view.augment ? draw_window(view.window, image.size(1), image.size(2), key)
                                     : whole_window(image.size(1), image.size(2));
  fill_image(image, window, view.window.height, view.window.width, view.mean, view.deviation, hwc);
  return window;
}

at::Tensor single_input(ImageView view, const at::Tensor& image) {
  view.augment = false;
  at::Tensor input = at::empty({1, image.size(0), view.window.height, view.window.width},
                               at::kFloat, at::MemoryFormat::ChannelsLast);
  fill_view(view, image, 0, input.mutable_data_ptr<float>());
  return input;
}

Box move_box(const Box& box, const Window& window, int64_t height, int64_t width) {
  const auto moved = [](float at, const WindowAxis& axis) {
    const double place = (static_cast<double>(at) - axis.start) / axis.step();
    return static_cast<float>(axis.flip ? static_cast<double>(axis.count) - place : place);
  };
  const WindowAxis x = columns_of(window, width), y = rows_of(window, height);
  Box result{moved(box[0], x), moved(box[1], y), moved(box[2], x), moved(box[3], y)};
  if (window.flip_x) std::swap(result[0], result[2]);
  if (window.flip_y) std::swap(result[1], result[3]);
  return result;
}

Box move_box_back(const Box& box, const Window& window, int64_t height, int64_t width) {
  const auto moved = [](float at, const WindowAxis& axis) {
    const auto place = static_cast<double>(at);
    return static_cast<float>(
        axis.start + (axis.flip ? static_cast<double>(axis.count) - place : place) * axis.step());
  };
  const WindowAxis x = columns_of(window, width), y = rows_of(window, height);
  Box result{moved(box[0], x), moved(box[1], y), moved(box[2], x), moved(box[3], y)};
  if (window.flip_x) std::swap(result[0], result[2]);
  if (window.flip_y) std::swap(result[1], result[3]);
  return result;
}

}  // namespace halftone::data
