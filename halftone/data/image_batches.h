// Batches of labelled images: reads them and augments them straight into the batch's tensor.
#pragma once

#include <memory>

#include "halftone/data/augmentation.h"
#include "halftone/data/batch_builder.h"
#include "halftone/data/dataset.h"

namespace halftone::data {

// input (N,C,H,W), fp32, channels_last; target (N), int64. build() throws what the data set throws,
// and Error for a label outside its classes.
class HALFTONE_API ImageBatches : public BatchBuilder {
 public:
  // Throws Error for no data set, UsageError for an augmentation that does not fit its images.
  ImageBatches(std::shared_ptr<const Dataset> dataset, const Augmentation& augmentation);

  int64_t size() const override { return dataset_->size(); }
  Batch build(std::span<const int64_t> indices, int64_t epoch, uint64_t seed) const override;

 private:
  std::shared_ptr<const Dataset> dataset_;
  std::array<int64_t, 3> shape_;
  int64_t classes_;
  Augmenter augmenter_;
};

}  // namespace halftone::data
