// The part of an image that fills what a network takes: the one thing by which augmentation moves,
// scales and mirrors an image together with its mask or its boxes.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>

#include "halftone/base/box.h"
#include "halftone/base/export.h"

namespace halftone::data {

// How windows are drawn. The default is the whole image as it is.
struct WindowOptions {
  int64_t height = 1, width = 1;           // of what the window fills, in pixels
  double least_scale = 1, most_scale = 1;  // the window is the image's size divided by it
  double stretch = 1;                      // its sides are by up to so much unequal in scale
  bool horizontal_flip = false, vertical_flip = false;  // each every second time
  double brightness = 0, contrast = 0;  // up to so much of 0..1 added; 1 ± so much times
};

// Coordinates are pixels of the image; pixel (y, x) covers y to y + 1 and x to x + 1.
struct Window {
  double top = 0, left = 0, height = 1, width = 1;  // may reach beyond the image
  bool flip_x = false, flip_y = false;
  double gain = 1, shift = 0;  // of brightness, around 0.5 on a scale of 0..1
};

// Throws UsageError for options that make no sense.
HALFTONE_API void check(const WindowOptions& options);

// Depends on `key` alone; every option has its own place in the stream. A window that is smaller
// than the image lies within it, a larger one around it.
HALFTONE_API Window draw_window(const WindowOptions& options, int64_t image_height,
                                int64_t image_width, uint64_t key);

// The whole image.
HALFTONE_API Window whole_window(int64_t image_height, int64_t image_width);

// image: uint8 (C,H,W), C = 1 or more. hwc: height*width*C floats, pixel by pixel, on a scale of
// 0..1 with gain and shift, less `mean`, divided by `deviation`; 0 (the mean) outside the image.
// Resampled by a triangle as wide as a pixel of the larger grid: bilinear where it grows, without
// aliasing where it shrinks. Thread-safe. Throws Error for another type or shape.
HALFTONE_API void fill_image(const at::Tensor& image, const Window& window, int64_t height,
                             int64_t width, const std::array<double, 3>& mean,
                             const std::array<double, 3>& deviation, float* hwc);

// mask: uint8 (H,W). out: height*width classes, of the nearest pixel; `outside` beyond the image.
HALFTONE_API void fill_mask(const at::Tensor& mask, const Window& window, int64_t height,
                            int64_t width, int64_t outside, int64_t* out);

// How images come to a network.
struct ImageView {
  WindowOptions window;  // its size is the network's
  bool augment = false;  // draw windows; else the whole image, as it is
  std::array<double, 3> mean{}, deviation{1, 1, 1};
};

// Fills height*width*C floats at `hwc` with the image and returns the window that was used, which
// depends on `key` alone.
HALFTONE_API Window fill_view(const ImageView& view, const at::Tensor& image, uint64_t key,
                              float* hwc);
// The whole image as a batch of one, (1,C,height,width), channels_last.
HALFTONE_API at::Tensor single_input(ImageView view, const at::Tensor& image);

// Where a box of the image is in what the window fills; may reach beyond it.
HALFTONE_API Box move_box(const Box& box, const Window& window, int64_t height, int64_t width);
// The way back.
HALFTONE_API Box move_box_back(const Box& box, const Window& window, int64_t height, int64_t width);

}  // namespace halftone::data
