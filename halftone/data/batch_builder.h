// Builds one batch: reads images, augments them straight into the batch's tensor.
#pragma once

#include <memory>
#include <span>

#include "halftone/data/augmentation.h"
#include "halftone/data/batch.h"
#include "halftone/data/dataset.h"

namespace halftone::data {

// Thread-safe. Throws what the data set throws, and Error for a label outside its classes.
class BatchBuilder {
 public:
  BatchBuilder(std::shared_ptr<const Dataset> dataset, const Augmentation& augmentation);

  // Depends on (seed, epoch, index) alone for each image.
  Batch build(std::span<const int64_t> indices, int64_t epoch, uint64_t seed) const;

 private:
  std::shared_ptr<const Dataset> dataset_;
  std::array<int64_t, 3> shape_;
  int64_t classes_;
  Augmenter augmenter_;
};

}  // namespace halftone::data
