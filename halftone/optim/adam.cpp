#include "halftone/optim/adam.h"

#include "halftone/ops/optimizer_ops.h"
#include "halftone/optim/option_io.h"

namespace halftone::optim {

void check_options(const AdamOptions& o, const std::string& where) { check_adaptive(o, where); }

void write_options(const AdamOptions& o, StateDict& dict) {
  write_adaptive(o, dict);
  dict.insert("amsgrad", o.amsgrad);
}

void read_options(AdamOptions& o, StateReader& reader) {
  read_adaptive(o, reader);
  o.amsgrad = reader.boolean("amsgrad");
}

Adam::Adam(std::vector<at::Tensor> parameters, AdamOptions options)
    : Adam({torch::optim::OptimizerParamGroup(std::move(parameters))}, std::move(options)) {}

Adam::Adam(std::vector<torch::optim::OptimizerParamGroup> groups, AdamOptions defaults)
    : MasterOptimizer("Adam", std::move(groups),
                      std::make_unique<GroupOptions<AdamOptions>>(std::move(defaults))) {}

std::vector<std::string> Adam::state_names(const GroupOptionsBase& options) const {
  if (as<AdamOptions>(options).amsgrad) return {"exp_avg", "exp_avg_sq", "max_exp_avg_sq"};
  return {"exp_avg", "exp_avg_sq"};
}

void Adam::prepare(const GroupOptionsBase& options, std::int64_t step, bool,
                   ops::ParameterUpdate& update) const {
  const auto& o = as<AdamOptions>(options);
  update.rule = kernels::UpdateRule::adam;
  update.numbers = ops::adam_numbers(o.lr, o.betas[0], o.betas[1], o.eps, o.weight_decay,
                                     /*decoupled=*/false, step);
}

}  // namespace halftone::optim
