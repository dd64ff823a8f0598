// Batches for segmentation: images, each with a mask that names the class of every pixel.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

#include "halftone/base/export.h"
#include "halftone/data/batch_builder.h"
#include "halftone/data/window.h"

namespace halftone::data {

struct MaskedImage {
  at::Tensor image;  // uint8 (3,H,W)
  at::Tensor mask;   // uint8 (H,W), classes; classes() where there is none to learn
};

// Every const member may be called from several threads at once: a Loader's workers do.
class HALFTONE_API MaskedImages {
 public:
  virtual ~MaskedImages() = default;
  virtual int64_t size() const = 0;
  virtual int64_t classes() const = 0;
  // Image and mask of one size, decoded when asked for. Throws Error that names the file.
  virtual MaskedImage read(int64_t index) const = 0;
  // The mask alone.
  virtual at::Tensor read_mask(int64_t index) const { return read(index).mask; }
};

struct MaskBatchOptions {
  ImageView view;
  int64_t mask_height = 0, mask_width = 0;  // 0: the images' size
};

// input (N,3,H,W), fp32, channels_last; target (N,H',W'), int64, in which what is to be passed over
// is classes(). build() throws what read() throws.
class HALFTONE_API MaskBatches : public BatchBuilder {
 public:
  // Throws UsageError for options that make no sense.
  MaskBatches(std::shared_ptr<const MaskedImages> images, const MaskBatchOptions& options);

  int64_t size() const override { return images_->size(); }
  Batch build(std::span<const int64_t> indices, int64_t epoch, uint64_t seed) const override;

 private:
  std::shared_ptr<const MaskedImages> images_;
  MaskBatchOptions options_;
};

}  // namespace halftone::data
