// A labelled set of images: what a Loader reads.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "halftone/base/export.h"

namespace halftone::data {

// Images of one shape with one label each. Every const member may be called from several threads
// at once: a Loader's workers do.
class HALFTONE_API Dataset {
 public:
  virtual ~Dataset();

  virtual int64_t size() const = 0;
  virtual int64_t classes() const = 0;

  // One name per class; "0", "1", … unless a set knows better.
  virtual std::vector<std::string> class_names() const;

  // Channels, height, width; the same for all images.
  virtual std::array<int64_t, 3> image_shape() const = 0;

  // uint8, (C,H,W). index: 0 to size() - 1.
  virtual at::Tensor image(int64_t index) const = 0;

  // 0 to classes() - 1.
  virtual int64_t label(int64_t index) const = 0;

  // Writes image `index` to `chw`, C*H*W bytes. As it stands it copies image(index) and throws
  // Error where that is not uint8 of image_shape(); sets that hold pixels in memory copy them
  // without a tensor.
  virtual void read_image(int64_t index, uint8_t* chw) const;
};

// All images and labels in memory.
class HALFTONE_API MemoryDataset : public Dataset {
 public:
  // images: uint8 (N,C,H,W), kept without a copy if contiguous. labels: N of 0 to
  // class_names.size() - 1. source (a file, for instance) is named in errors. Throws Error.
  MemoryDataset(at::Tensor images, std::vector<int64_t> labels,
                std::vector<std::string> class_names, const std::string& source = "data set");

  int64_t size() const override { return static_cast<int64_t>(labels_.size()); }
  int64_t classes() const override { return static_cast<int64_t>(class_names_.size()); }
  std::vector<std::string> class_names() const override { return class_names_; }
  std::array<int64_t, 3> image_shape() const override { return shape_; }
  at::Tensor image(int64_t index) const override;
  int64_t label(int64_t index) const override { return labels_[static_cast<size_t>(index)]; }
  void read_image(int64_t index, uint8_t* chw) const override;

 private:
  at::Tensor images_;
  std::vector<int64_t> labels_;
  std::vector<std::string> class_names_;
  std::array<int64_t, 3> shape_;
};

// `source` with every image kept as uint8 once it was read, so that it is decoded once whatever
// the number of epochs and threads. Memory: size() * C * H * W bytes, touched as images come in.
HALFTONE_API std::shared_ptr<Dataset> cached(std::shared_ptr<const Dataset> source);

}  // namespace halftone::data
