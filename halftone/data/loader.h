// Batches of a data set, in an order pinned by a seed, built ahead of the step by worker threads.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "halftone/base/export.h"
#include "halftone/data/augmentation.h"
#include "halftone/data/batch_builder.h"
#include "halftone/data/batch_source.h"
#include "halftone/data/dataset.h"
#include "halftone/ops/state_dict.h"

namespace halftone::data {

struct LoaderOptions {
  int64_t batch = 128;          // examples per batch; the last one of an epoch may have fewer
  bool shuffle = true;          // a new order every epoch
  uint64_t seed = 0;            // pins order and augmentation
  int workers = 1;              // threads; 0 builds batches in next(), in the calling thread
  int64_t prefetch = 4;         // batches built ahead
  bool drop_last = false;       // leave out a last batch that is not full
  Augmentation augmentation{};  // of images
};

// Order and augmentation depend on (seed, epoch, index in the data set) alone: any number of
// workers, any prefetch and a resume in the middle of an epoch give the same batches bit for bit.
// For use by one thread. Destruction at any time joins the workers.
class HALFTONE_API Loader : public BatchSource {
 public:
  // Throws UsageError for options that make no sense and Error for an empty data set.
  Loader(std::shared_ptr<const BatchBuilder> builder, LoaderOptions options);
  // Images with options.augmentation: ImageBatches.
  Loader(std::shared_ptr<const Dataset> dataset, LoaderOptions options);
  ~Loader() override;
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  // The caller's autocast state goes with the workers: a Dataset of one's own sees it in image().
  void start_epoch(int64_t epoch, int64_t first_batch = 0) override;

  // An exception thrown by the data set in a worker is thrown here, in its batch's turn; that batch
  // stays the next one.
  std::optional<Batch> next() override;

  int64_t batches() const override { return batches_; }
  double wait_seconds() const override { return wait_seconds_; }
  int64_t epoch() const override { return epoch_; }
  int64_t position() const override { return position_; }

  // seed, epoch, position, and what must be the same for them to mean the same batches: size,
  // batch, shuffle, drop_last. load_state_dict() continues with the saved seed; throws Error naming
  // the key.
  StateDict state_dict() const override;
  void load_state_dict(const StateDict& state) override;

 private:
  struct Epoch;

  std::vector<int64_t> order(int64_t epoch) const;

  std::shared_ptr<const BatchBuilder> builder_;
  LoaderOptions options_;
  int64_t batches_ = 0, epoch_ = -1, position_ = 0;
  double wait_seconds_ = 0;
  std::unique_ptr<Epoch> running_;
};

}  // namespace halftone::data
