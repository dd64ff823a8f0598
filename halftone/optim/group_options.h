// The options of a parameter group as LibTorch's optimizers hold them.
#pragma once

#include <torch/optim/optimizer.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/ops/state_dict.h"
#include "halftone/ops/state_reader.h"
#include "halftone/precision/policy.h"

namespace halftone::optim {

// What all of Halftone's optimizers have in common. clip_norm, storage and seed belong to the
// optimizer: all groups must agree on them.
struct CommonOptions {
  double lr = 0;
  double weight_decay = 0;
  std::optional<double> clip_norm;   // global L2 norm of the unscaled gradients, clipped to
  std::optional<double> clip_value;  // each element of the unscaled gradient, clipped to +-
  WeightStorage storage = WeightStorage::half_master;  // of half parameters; fp32 ones are plain
  std::uint64_t seed = 0;                              // of stochastic rounding
};

// A scheduler reaches the learning rate through get_lr() and set_lr().
class HALFTONE_API GroupOptionsBase : public torch::optim::OptimizerOptions {
 public:
  virtual CommonOptions common() const = 0;
  virtual void check(const std::string& where) const = 0;  // throws UsageError
  virtual void write(StateDict& dict) const = 0;
  virtual void read(StateReader& reader) = 0;
};

// Options: SGDOptions, AdamOptions, AdamWOptions or LAMBOptions, plain structs beside which
// check_options(), write_options() and read_options() are declared.
template <class Options>
class HALFTONE_API GroupOptions final : public GroupOptionsBase {
 public:
  Options value;

  explicit GroupOptions(Options options) : value(std::move(options)) {}

  CommonOptions common() const override {
    return {value.lr,         value.weight_decay, value.clip_norm,
            value.clip_value, value.storage,      value.seed};
  }
  void check(const std::string& where) const override { check_options(value, where); }
  void write(StateDict& dict) const override { write_options(value, dict); }
  void read(StateReader& reader) override { read_options(value, reader); }

  std::unique_ptr<torch::optim::OptimizerOptions> clone() const override {
    return std::make_unique<GroupOptions>(*this);
  }
  double get_lr() const override { return value.lr; }
  void set_lr(const double lr) override { value.lr = lr; }
};

// A parameter group with options of its own: all of them, nothing is inherited.
//   AdamW optimizer({group(backbone, {.lr = 1e-4}), group(head, {.lr = 1e-3})});
template <class Options>
torch::optim::OptimizerParamGroup group(std::vector<at::Tensor> parameters, Options options) {
  return {std::move(parameters), std::make_unique<GroupOptions<Options>>(std::move(options))};
}

}  // namespace halftone::optim
