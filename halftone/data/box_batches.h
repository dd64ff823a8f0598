// Batches for detection: images, each with boxes around what is in it.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/data/batch_builder.h"
#include "halftone/data/window.h"

namespace halftone::data {

struct BoxedImage {
  at::Tensor image;              // uint8 (3,H,W)
  std::vector<Box> boxes;        // within the image, in its pixels
  std::vector<int64_t> classes;  // one for each box
  std::vector<bool> difficult;   // the same: hard to tell even for a person (VOC)
};

// Every const member may be called from several threads at once: a Loader's workers do.
class HALFTONE_API BoxedImages {
 public:
  virtual ~BoxedImages() = default;
  virtual int64_t size() const = 0;
  // Decoded when asked for. Throws Error that names the file.
  virtual BoxedImage read(int64_t index) const = 0;
};

struct BoxBatchOptions {
  ImageView view;
  double least_visible = 0.3;  // share of a box that a window must leave of it; else it is dropped
};

// input (N,3,H,W), fp32, channels_last; extra: "boxes" (total,4), fp32, in pixels of the input, cut
// to it, "classes" (total), int64, "difficult" (total), bool, and "offsets" (N + 1), int64. build()
// throws what read() throws.
class HALFTONE_API BoxBatches : public BatchBuilder {
 public:
  // Throws UsageError for options that make no sense.
  BoxBatches(std::shared_ptr<const BoxedImages> images, const BoxBatchOptions& options);

  int64_t size() const override { return images_->size(); }
  Batch build(std::span<const int64_t> indices, int64_t epoch, uint64_t seed) const override;

 private:
  std::shared_ptr<const BoxedImages> images_;
  BoxBatchOptions options_;
};

}  // namespace halftone::data
