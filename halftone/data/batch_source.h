// Where a trainer's batches come from: epochs of a fixed number of batches.
#pragma once

#include <cstdint>
#include <optional>

#include "halftone/base/export.h"
#include "halftone/data/batch.h"
#include "halftone/ops/state_dict.h"

namespace halftone::data {

// A Loader over a data set is one; an environment that plays with the network that is trained is
// another. A state machine: load_state_dict() continues in the middle of an epoch, with the same
// batches bit for bit. For use by one thread.
class HALFTONE_API BatchSource {
 public:
  virtual ~BatchSource() = default;

  // Starts `epoch` at batch `first_batch` (0 to batches()), dropping what was under way.
  virtual void start_epoch(int64_t epoch, int64_t first_batch = 0) = 0;

  // The next batch, nothing at the epoch's end.
  virtual std::optional<Batch> next() = 0;

  virtual int64_t batches() const = 0;   // of an epoch
  virtual int64_t epoch() const = 0;     // -1 before the first start_epoch
  virtual int64_t position() const = 0;  // the batch that next() gives

  // Seconds that next() made its callers wait, since construction.
  virtual double wait_seconds() const = 0;

  virtual StateDict state_dict() const = 0;
  virtual void load_state_dict(const StateDict& state) = 0;
};

}  // namespace halftone::data
