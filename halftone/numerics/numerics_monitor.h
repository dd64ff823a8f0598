// Samples the ranges of activations, gradients, weights and updates while a network trains.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/numerics/operation_name.h"
#include "halftone/numerics/operation_watch.h"
#include "halftone/numerics/range_report.h"

namespace halftone::numerics {

struct MonitorOptions {
  std::int64_t every = 100;  // steps between samples, 1 or more; the first step is one
};

// The sink of an OperationWatch around a sampled step's first micro-batch. Per layer (an operation
// that reads a parameter) it looks at the output and at the gradient that comes back for it; per
// parameter at weight, gradient and update. Where no step is sampled it costs nothing.
//
//   if (monitor->due(step)) { monitor->begin_step(step, scale); OperationWatch watch(monitor); … }
//   monitor->before_update();  optimizer step  monitor->after_update();  monitor->take();
//
// Shapes may change from step to step. Not thread-safe beside what OperationSink says.
class HALFTONE_API NumericsMonitor final : public OperationSink {
 public:
  // module: must outlive it. master: the fp32 master of a half parameter, or the parameter itself.
  // Throws UsageError for `every` below 1 and for a module without parameters.
  NumericsMonitor(const torch::nn::Module& module, MonitorOptions options,
                  std::function<at::Tensor(const at::Tensor&)> master = {});
  ~NumericsMonitor() override;

  // step: counted from 1.
  bool due(std::int64_t step) const { return (step - 1) % options_.every == 0; }
  void begin_step(std::int64_t step, double loss_scale);
  // Whether a step is being sampled.
  bool sampling() const { return sampling_; }

  void begin(OperationCall& call) override;
  void end(OperationCall& call, const std::vector<at::Tensor>& outputs) override;

  // Around the optimizer's step; nothing where no step is sampled. A warning comes once, with the
  // names of half weights without a master that kept their bits, though they had gradients, in
  // three samples in a row.
  void before_update();
  void after_update(bool applied);

  // What the step showed; ends the sample.
  RangeReport take();

 private:
  struct Notes;
  struct Before {
    at::Tensor master, weight;
  };
  void add(TensorKind kind, const std::string& name, const at::Tensor& tensor);
  void add_gradient(const std::string& name, const at::Tensor& gradient);
  void add_update(const std::string& name, const at::Tensor& parameter, const Before& before);
  void warn_of_unmoved();

  const torch::nn::Module& module_;
  MonitorOptions options_;
  std::function<at::Tensor(const at::Tensor&)> master_;
  bool sampling_ = false;
  std::unique_ptr<OperationNames> names_;      // of the step that is sampled
  std::map<std::string, std::string> layers_;  // by parameter: the operation that read it
  std::map<std::string, Before> before_;
  std::map<std::string, int> unmoved_;  // samples in a row
  bool warned_ = false;
  RangeReport report_;
};

}  // namespace halftone::numerics
