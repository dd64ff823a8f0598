#include "halftone/data/dataset.h"

#include <ATen/Functions.h>

#include <cstring>

#include "halftone/base/error.h"

namespace halftone::data {
namespace {

std::string shape_text(at::IntArrayRef shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i) {
    text += (i ? "," : "") + std::to_string(shape[i]);
  }
  return text + ")";
}

}  // namespace

Dataset::~Dataset() = default;

std::vector<std::string> Dataset::class_names() const {
  std::vector<std::string> names;
  for (int64_t i = 0; i < classes(); ++i) names.push_back(std::to_string(i));
  return names;
}

void Dataset::read_image(int64_t index, uint8_t* chw) const {
  const at::Tensor pixels = image(index).contiguous();
  const auto shape = image_shape();
  if (pixels.scalar_type() != at::kByte || pixels.sizes() != at::IntArrayRef(shape)) {
    throw Error(std::string(c10::toString(pixels.scalar_type())) + " " + shape_text(pixels.sizes()),
                "uint8 " + shape_text(shape), "image " + std::to_string(index));
  }
  std::memcpy(chw, pixels.const_data_ptr<uint8_t>(), pixels.nbytes());
}

MemoryDataset::MemoryDataset(at::Tensor images, std::vector<int64_t> labels,
                             std::vector<std::string> class_names, const std::string& source)
    : labels_(std::move(labels)), class_names_(std::move(class_names)) {
  if (images.dim() != 4 || images.scalar_type() != at::kByte) {
    throw Error(std::string(c10::toString(images.scalar_type())) + " " + shape_text(images.sizes()),
                "images as uint8 (N,C,H,W)", source);
  }
  if (images.size(0) != size()) {
    throw Error(
        std::to_string(images.size(0)) + " images and " + std::to_string(size()) + " labels",
        "as many labels as images", source);
  }
  for (size_t i = 0; i < labels_.size(); ++i) {
    if (labels_[i] < 0 || labels_[i] >= classes()) {
      throw Error("label " + std::to_string(labels_[i]) + " of image " + std::to_string(i),
                  "0 to " + std::to_string(classes() - 1), source);
    }
  }
  images_ = images.contiguous();
  shape_ = {images_.size(1), images_.size(2), images_.size(3)};
}

at::Tensor MemoryDataset::image(int64_t index) const { return images_.select(0, index); }

void MemoryDataset::read_image(int64_t index, uint8_t* chw) const {
  const auto bytes = static_cast<size_t>(shape_[0] * shape_[1] * shape_[2]);
  std::memcpy(chw, images_.const_data_ptr<uint8_t>() + static_cast<size_t>(index) * bytes, bytes);
}

}  // namespace halftone::data
