#include "halftone/data/mask_batches.h"

#include <ATen/Functions.h>

#include <utility>

#include "halftone/base/error.h"
#include "halftone/data/random.h"

namespace halftone::data {

MaskBatches::MaskBatches(std::shared_ptr<const MaskedImages> images,
                         const MaskBatchOptions& options)
    : images_(std::move(images)), options_(options) {
  if (!images_) throw UsageError("no images", "images with masks", "mask batches");
  check(options_.view.window);
  if (options_.mask_height == 0) options_.mask_height = options_.view.window.height;
  if (options_.mask_width == 0) options_.mask_width = options_.view.window.width;
}

Batch MaskBatches::build(std::span<const int64_t> indices, int64_t epoch, uint64_t seed) const {
  const auto count = static_cast<int64_t>(indices.size());
  const auto [height, width] = std::pair(options_.view.window.height, options_.view.window.width);
  Batch batch;
  batch.input = at::empty({count, 3, height, width}, at::kFloat, at::MemoryFormat::ChannelsLast);
  batch.target = at::empty({count, options_.mask_height, options_.mask_width}, at::kLong);
  batch.indices.assign(indices.begin(), indices.end());
  auto* input = batch.input.mutable_data_ptr<float>();
  auto* target = batch.target.mutable_data_ptr<int64_t>();
  for (const int64_t index : indices) {
    const MaskedImage example = images_->read(index);
    const uint64_t key = stream_key(seed, epoch, static_cast<uint64_t>(index));
    const Window window = fill_view(options_.view, example.image, key, input);
    fill_mask(example.mask, window, options_.mask_height, options_.mask_width, images_->classes(),
              target);
    input += 3 * height * width;
    target += options_.mask_height * options_.mask_width;
  }
  return batch;
}

}  // namespace halftone::data
