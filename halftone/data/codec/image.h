// Image files for prediction: any size, any supported format, as tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <filesystem>
#include <string>

namespace halftone::data {

// uint8, (C,H,W), C = 1 or 3. JPEG or PNG, told by the content and not by the name; transparency is
// dropped. Throws Error naming the file.
at::Tensor load_image(const std::filesystem::path& path);

// The content of an image file as uint8, (3,H,W): a grey one's channel is repeated. name: for
// messages.
at::Tensor decode_colour(const std::string& content, const std::string& name);

// The image (uint8, (C,H,W), C = 1 or 3) as uint8 of `shape` (C = 1 or 3): to grey by the luma of
// ITU-R BT.601, from grey by repeating; then resized, by area where it shrinks, bilinear where it
// grows. The aspect ratio is not kept.
at::Tensor fit_image(const at::Tensor& image, std::array<int64_t, 3> shape);

}  // namespace halftone::data
