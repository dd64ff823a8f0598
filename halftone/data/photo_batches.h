// Batches of labelled images of any size, cropped and resized to what a network takes.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <memory>

#include "halftone/base/export.h"
#include "halftone/data/batch_builder.h"
#include "halftone/data/window.h"

namespace halftone::data {

// Every const member may be called from several threads at once: a Loader's workers do.
class HALFTONE_API Photos {
 public:
  virtual ~Photos() = default;
  virtual int64_t size() const = 0;
  virtual int64_t classes() const = 0;
  virtual int64_t label(int64_t index) const = 0;  // 0 to classes() - 1
  // uint8 (3,H,W), decoded when asked for. Throws Error that names the file.
  virtual at::Tensor read(int64_t index) const = 0;
};

// How photographs come to a network of `height` x `width`: as with torchvision's
// RandomResizedCrop and RandomHorizontalFlip in training, Resize and CenterCrop in evaluation,
// bilinear with antialiasing.
struct PhotoView {
  int64_t height = 224, width = 224;
  std::array<double, 3> mean{}, deviation{1, 1, 1};  // on a scale of 0..1
  bool augment = false;                              // as in training
  double least_area = 0.08;                          // of a crop, as a share of the image's
  double most_ratio = 4.0 / 3;                       // of a crop's sides, either way
  // Evaluation: the image's shorter side is resized to it; height and width, or more.
  int64_t resize = 256;
};

// The crop of whole pixels that training sees, mirrored every second time; depends on view, size
// and key alone. Its share of the area is drawn evenly from least_area to 1, its ratio evenly in
// the logarithm, its place evenly from those within the image; a draw that does not fit is drawn
// again, ten times in all. After that it is the middle: as much of the image as has an allowed
// ratio. (Szegedy et al. 2015, "Going deeper with convolutions", section 6.)
HALFTONE_API Window random_resized_crop(const PhotoView& view, int64_t image_height,
                                        int64_t image_width, uint64_t key);
// The part of the image that is the middle height x width of it once it is resized.
HALFTONE_API Window resized_centre_crop(const PhotoView& view, int64_t image_height,
                                        int64_t image_width);
// An image (uint8, (3,H,W)) as evaluation sees it: (1,3,height,width), fp32, channels_last.
HALFTONE_API at::Tensor photo_input(PhotoView view, const at::Tensor& image);

// input (N,3,height,width), fp32, channels_last; target (N), int64. build() throws what read()
// throws.
class HALFTONE_API PhotoBatches : public BatchBuilder {
 public:
  // Throws UsageError for a view that makes no sense.
  PhotoBatches(std::shared_ptr<const Photos> photos, const PhotoView& view);

  int64_t size() const override { return photos_->size(); }
  Batch build(std::span<const int64_t> indices, int64_t epoch, uint64_t seed) const override;

 private:
  std::shared_ptr<const Photos> photos_;
  PhotoView view_;
};

}  // namespace halftone::data
