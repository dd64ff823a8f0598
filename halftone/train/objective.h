// What a training is for: the loss of a batch, and how well the network does on evaluation data.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/base/json.h"
#include "halftone/data/batch.h"
#include "halftone/metrics/metric.h"
#include "halftone/metrics/running_loss.h"

namespace halftone {

// What only a report on a finished network shows, beside the metrics.
struct EvaluationDetails {
  std::vector<metrics::MetricValue> metrics;    // more of them
  Json json = Json::object();                   // keys of its own
  std::vector<std::vector<std::string>> table;  // the header first; may be empty
};

// One pass over evaluation data. It sums up as it goes, so that what has no meaning per batch (a
// ranking, an average precision, BLEU) can be computed at the end.
class HALFTONE_API Meter {
 public:
  virtual ~Meter() = default;

  // Runs the network on the batch. Called in evaluation mode, without gradients, under Autocast;
  // the batch is on the module's device.
  virtual void add(const data::Batch& batch) = 0;

  virtual std::int64_t samples() const = 0;  // examples seen
  virtual double loss() const = 0;           // the mean over what it counts
  // Of the kinds and in the order of Objective::metrics(); one that can't be told is left out.
  virtual std::vector<metrics::MetricValue> values() const = 0;
  virtual EvaluationDetails details() const { return {}; }
};

// Belongs to one network, which it holds. Not thread-safe.
class HALFTONE_API Objective {
 public:
  virtual ~Objective() = default;

  // -> the mean over the batch, a scalar in fp32. Called in training mode, under Autocast; the
  // batch is on the module's device. RECORD_USER_SCOPE("loss") behind the network's forward names
  // the operations after it where a step that went bad is explained.
  virtual at::Tensor loss(const data::Batch& batch) = 0;

  // A step goes through its phases, each with a loss and an optimizer of its own on the same batch:
  // forward, backward, update, then the next one (a GAN: discriminator, then generator). Phase 0's
  // loss is loss().
  virtual std::int64_t phases() const { return 1; }
  // phase: 0 to phases() - 1.
  virtual at::Tensor phase_loss(const data::Batch& batch, std::int64_t /*phase*/) {
    return loss(batch);
  }

  // Called before the first step of each epoch, also of one that a run resumes within. What it sets
  // (layers frozen from then on) follows from the epoch alone. last: training ends in it.
  virtual void begin_epoch(std::int64_t /*epoch*/, bool /*last*/) {}

  // The first one decides which evaluation is the best; where there is none, the loss does.
  virtual std::vector<metrics::MetricKind> metrics() const = 0;
  virtual std::unique_ptr<Meter> meter() = 0;
};

// The common case, one output and one target, as functions. metric: -> the share of the batch that
// is right, 0 to 1; null: top-1 accuracy where target is (N) int64 and output (N, classes), else
// none.
struct SupervisedFunctions {
  std::function<at::Tensor(const at::Tensor& input)> forward;
  std::function<at::Tensor(const at::Tensor&output, const at::Tensor&target)> loss, metric;
};
HALFTONE_API std::shared_ptr<Objective> supervised(SupervisedFunctions functions);

}  // namespace halftone
