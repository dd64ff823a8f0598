// Adam with decoupled weight decay.
#pragma once

#include "halftone/optim/master_optimizer.h"

namespace halftone::optim {

struct AdamWOptions {
  double lr = 1e-3;
  std::array<double, 2> betas = {0.9, 0.999};
  double eps = 1e-8;
  double weight_decay = 1e-2;
  bool amsgrad = false;
  std::optional<double> clip_norm = {}, clip_value = {};  // as CommonOptions says, and so on
  WeightStorage storage = WeightStorage::half_master;
  std::uint64_t seed = 0;
};

HALFTONE_API void check_options(const AdamWOptions& options, const std::string& where);
HALFTONE_API void write_options(const AdamWOptions& options, StateDict& dict);
HALFTONE_API void read_options(AdamWOptions& options, StateReader& reader);

// torch.optim.AdamW's update (Loshchilov, Hutter 2019). With masters a step moves 28 bytes per
// parameter: gradient 2, weight 2, master, first and second moment 8 each.
class HALFTONE_API AdamW : public MasterOptimizer {
 public:
  explicit AdamW(std::vector<at::Tensor> parameters, AdamWOptions options = {});
  // Groups without options of their own take `defaults`.
  explicit AdamW(std::vector<torch::optim::OptimizerParamGroup> groups, AdamWOptions defaults = {});

 protected:
  std::vector<std::string> state_names(const GroupOptionsBase& options) const override;
  void prepare(const GroupOptionsBase& options, std::int64_t step, bool first,
               ops::ParameterUpdate& update) const override;
};

}  // namespace halftone::optim
