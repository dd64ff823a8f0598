// Layer-wise adaptive moments for large batches.
#pragma once

#include "halftone/optim/master_optimizer.h"

namespace halftone::optim {

struct LAMBOptions {
  double lr = 1e-3;
  std::array<double, 2> betas = {0.9, 0.999};
  double eps = 1e-6;
  double weight_decay = 1e-2;
  // Whether parameters without decay (biases, norms) take the trust ratio too. The authors' own
  // code leaves them out.
  bool adapt_without_decay = false;
  std::optional<double> clip_norm = {}, clip_value = {};  // as CommonOptions says, and so on
  WeightStorage storage = WeightStorage::half_master;
  std::uint64_t seed = 0;
};

HALFTONE_API void check_options(const LAMBOptions& options, const std::string& where);
HALFTONE_API void write_options(const LAMBOptions& options, StateDict& dict);
HALFTONE_API void read_options(LAMBOptions& options, StateReader& reader);

// You et al. 2020, algorithm 2, bias-corrected. The trust ratio needs the norms of a whole
// parameter, so that a step passes over the moments twice: 46 bytes per parameter with masters.
class HALFTONE_API LAMB : public MasterOptimizer {
 public:
  explicit LAMB(std::vector<at::Tensor> parameters, LAMBOptions options = {});
  // Groups without options of their own take `defaults`.
  explicit LAMB(std::vector<torch::optim::OptimizerParamGroup> groups, LAMBOptions defaults = {});

 protected:
  std::vector<std::string> state_names(const GroupOptionsBase& options) const override;
  void prepare(const GroupOptionsBase& options, std::int64_t step, bool first,
               ops::ParameterUpdate& update) const override;
  void apply(std::vector<ops::ParameterUpdate>& updates,
             const std::vector<const GroupOptionsBase*>& options) override;
};

}  // namespace halftone::optim
