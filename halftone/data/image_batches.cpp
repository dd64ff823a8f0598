#include "halftone/data/image_batches.h"

#include <ATen/Functions.h>

#include "halftone/base/error.h"

namespace halftone::data {
namespace {

std::shared_ptr<const Dataset> present(std::shared_ptr<const Dataset> dataset) {
  if (!dataset) throw UsageError("no data set", "a data set", "data loader");
  return dataset;
}

}  // namespace

ImageBatches::ImageBatches(std::shared_ptr<const Dataset> dataset, const Augmentation& augmentation)
    : dataset_(present(std::move(dataset))),
      shape_(dataset_->image_shape()),
      classes_(dataset_->classes()),
      augmenter_(augmentation, shape_) {}

Batch ImageBatches::build(std::span<const int64_t> indices, int64_t epoch, uint64_t seed) const {
  const auto count = static_cast<int64_t>(indices.size());
  const int64_t numel = shape_[0] * shape_[1] * shape_[2];
  Batch batch;
  batch.input = at::empty({count, shape_[0], shape_[1], shape_[2]}, at::kFloat,
                          at::MemoryFormat::ChannelsLast);
  batch.target = at::empty({count}, at::kLong);
  batch.indices.assign(indices.begin(), indices.end());
  auto* input = batch.input.mutable_data_ptr<float>();
  auto* target = batch.target.mutable_data_ptr<int64_t>();
  std::vector<uint8_t> pixels(static_cast<size_t>(numel));
  for (int64_t i = 0; i < count; ++i) {
    const int64_t index = indices[static_cast<size_t>(i)];
    target[i] = dataset_->label(index);
    if (target[i] < 0 || target[i] >= classes_) {
      throw Error("label " + std::to_string(target[i]) + " of image " + std::to_string(index),
                  "0 to " + std::to_string(classes_ - 1), "data set");
    }
    dataset_->read_image(index, pixels.data());
    augmenter_.write(pixels.data(), augmenter_.draw(seed, epoch, index), input + i * numel);
  }
  return batch;
}

}  // namespace halftone::data
