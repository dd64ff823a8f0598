// Stochastic gradient descent.
#pragma once

#include "halftone/optim/master_optimizer.h"

namespace halftone::optim {

struct SGDOptions {
  double lr = 1e-3;
  double momentum = 0;
  double dampening = 0;
  double weight_decay = 0;
  bool nesterov = false;                                  // needs momentum > 0 and dampening = 0
  std::optional<double> clip_norm = {}, clip_value = {};  // as CommonOptions says, and so on
  WeightStorage storage = WeightStorage::half_master;
  std::uint64_t seed = 0;
};

HALFTONE_API void check_options(const SGDOptions& options, const std::string& where);
HALFTONE_API void write_options(const SGDOptions& options, StateDict& dict);
HALFTONE_API void read_options(SGDOptions& options, StateReader& reader);

// torch.optim.SGD's update: momentum, dampening, Nesterov's (Sutskever et al. 2013), L2 decay.
class HALFTONE_API SGD : public MasterOptimizer {
 public:
  explicit SGD(std::vector<at::Tensor> parameters, SGDOptions options = {});
  // Groups without options of their own take `defaults`.
  explicit SGD(std::vector<torch::optim::OptimizerParamGroup> groups, SGDOptions defaults = {});

 protected:
  std::vector<std::string> state_names(const GroupOptionsBase& options) const override;
  void prepare(const GroupOptionsBase& options, std::int64_t step, bool first,
               ops::ParameterUpdate& update) const override;
};

}  // namespace halftone::optim
