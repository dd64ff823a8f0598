#include "halftone/train/objective.h"

#include <ATen/record_function.h>

#include <limits>
#include <utility>

#include "halftone/metrics/top_k.h"

namespace halftone {
namespace {

class SupervisedMeter : public Meter {
 public:
  explicit SupervisedMeter(const SupervisedFunctions& functions) : functions_(functions) {}

  void add(const data::Batch& batch) override {
    const at::Tensor output = functions_.forward(batch.input);
    const auto samples = static_cast<std::int64_t>(batch.indices.size());
    loss_.add(functions_.loss(output, batch.target).item<double>(), samples);
    right_.add(share_right(output, batch.target), samples);
  }

  std::int64_t samples() const override { return loss_.samples(); }
  double loss() const override { return loss_.mean(); }
  std::vector<metrics::MetricValue> values() const override {
    if (std::isnan(right_.mean())) return {};
    return {{metrics::accuracy_kind(), right_.mean()}};
  }

 private:
  // The share of the batch that is right, or NaN.
  double share_right(const at::Tensor& output, const at::Tensor& target) const {
    if (functions_.metric) return functions_.metric(output, target).item<double>();
    if (output.dim() != 2 || target.dim() != 1 || target.scalar_type() != at::kLong)
      return std::numeric_limits<double>::quiet_NaN();
    return static_cast<double>(metrics::top_k_correct(output, target, 1)) /
           static_cast<double>(target.size(0));
  }

  const SupervisedFunctions& functions_;
  metrics::RunningLoss loss_, right_;
};

class Supervised : public Objective {
 public:
  explicit Supervised(SupervisedFunctions functions) : functions_(std::move(functions)) {}

  at::Tensor loss(const data::Batch& batch) override {
    const at::Tensor output = functions_.forward(batch.input);
    RECORD_USER_SCOPE("loss");  // the name of the operations in it, for who watches them
    return functions_.loss(output, batch.target);
  }
  std::vector<metrics::MetricKind> metrics() const override { return {metrics::accuracy_kind()}; }
  std::unique_ptr<Meter> meter() override { return std::make_unique<SupervisedMeter>(functions_); }

 private:
  SupervisedFunctions functions_;
};

}  // namespace

std::shared_ptr<Objective> supervised(SupervisedFunctions functions) {
  return std::make_shared<Supervised>(std::move(functions));
}

}  // namespace halftone
