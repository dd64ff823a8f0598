#include "halftone/data/codec/image.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "halftone/base/error.h"
#include "halftone/base/file.h"
#include "halftone/data/codec/decode.h"

namespace halftone::data {
namespace {

at::Tensor to_grey(const at::Tensor& rgb) {
  const at::Tensor luma = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
  return luma.unsqueeze(0);
}

// image: fp32, (C,H,W).
at::Tensor resize(at::Tensor image, int64_t height, int64_t width) {
  const int64_t least_height = std::min(height, image.size(1));
  const int64_t least_width = std::min(width, image.size(2));
  if (least_height < image.size(1) || least_width < image.size(2)) {
    image = at::adaptive_avg_pool2d(image, {least_height, least_width});
  }
  if (height > least_height || width > least_width) {
    image = at::upsample_bilinear2d(image.unsqueeze(0), {height, width}, /*align_corners=*/false)
                .squeeze(0);
  }
  return image;
}

at::Tensor decoded(const std::string& content, const std::string& name) {
  const Pixels pixels = decode_image(as_bytes(content), name);
  at::Tensor image = at::empty({pixels.channels, pixels.height, pixels.width}, at::kByte);
  std::memcpy(image.mutable_data_ptr<uint8_t>(), pixels.chw.data(), pixels.chw.size());
  return image;
}

}  // namespace

at::Tensor load_image(const std::filesystem::path& path) {
  return decoded(read_file(path), path.string());
}

at::Tensor decode_colour(const std::string& content, const std::string& name) {
  const at::Tensor image = decoded(content, name);
  return image.expand({3, image.size(1), image.size(2)}).contiguous();
}

at::Tensor fit_image(const at::Tensor& image, std::array<int64_t, 3> shape) {
  const auto [channels, height, width] = shape;
  if (image.dim() != 3 || (image.size(0) != 1 && image.size(0) != 3) || image.numel() == 0) {
    throw Error("an image of " + std::to_string(image.dim()) + " dimensions",
                "(C,H,W) with 1 or 3 channels", "fit_image");
  }
  if ((channels != 1 && channels != 3) || height < 1 || width < 1) {
    throw Error(
        std::to_string(channels) + "x" + std::to_string(height) + "x" + std::to_string(width),
        "1 or 3 channels of at least 1x1", "fit_image");
  }
  at::Tensor pixels = image.to(at::kFloat);
  if (channels == 1 && image.size(0) == 3) pixels = to_grey(pixels);
  pixels = resize(pixels, height, width);
  return pixels.round().clamp(0, 255).to(at::kByte).expand({channels, height, width}).contiguous();
}

}  // namespace halftone::data
