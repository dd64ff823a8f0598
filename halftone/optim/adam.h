// Adam.
#pragma once

#include "halftone/optim/master_optimizer.h"

namespace halftone::optim {

struct AdamOptions {
  double lr = 1e-3;
  std::array<double, 2> betas = {0.9, 0.999};
  double eps = 1e-8;
  double weight_decay = 0;
  bool amsgrad = false;
  std::optional<double> clip_norm = {}, clip_value = {};  // as CommonOptions says, and so on
  WeightStorage storage = WeightStorage::half_master;
  std::uint64_t seed = 0;
};

HALFTONE_API void check_options(const AdamOptions& options, const std::string& where);
HALFTONE_API void write_options(const AdamOptions& options, StateDict& dict);
HALFTONE_API void read_options(AdamOptions& options, StateReader& reader);

// torch.optim.Adam's update (Kingma, Ba 2015; AMSGrad: Reddi et al. 2018), decay as L2 term.
class HALFTONE_API Adam : public MasterOptimizer {
 public:
  explicit Adam(std::vector<at::Tensor> parameters, AdamOptions options = {});
  // Groups without options of their own take `defaults`.
  explicit Adam(std::vector<torch::optim::OptimizerParamGroup> groups, AdamOptions defaults = {});

 protected:
  std::vector<std::string> state_names(const GroupOptionsBase& options) const override;
  void prepare(const GroupOptionsBase& options, std::int64_t step, bool first,
               ops::ParameterUpdate& update) const override;
};

}  // namespace halftone::optim
