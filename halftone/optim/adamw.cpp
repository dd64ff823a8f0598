#include "halftone/optim/adamw.h"

#include "halftone/ops/optimizer_ops.h"
#include "halftone/optim/option_io.h"

namespace halftone::optim {

void check_options(const AdamWOptions& o, const std::string& where) { check_adaptive(o, where); }

void write_options(const AdamWOptions& o, StateDict& dict) {
  write_adaptive(o, dict);
  dict.insert("amsgrad", o.amsgrad);
}

void read_options(AdamWOptions& o, StateReader& reader) {
  read_adaptive(o, reader);
  o.amsgrad = reader.boolean("amsgrad");
}

AdamW::AdamW(std::vector<at::Tensor> parameters, AdamWOptions options)
    : AdamW({torch::optim::OptimizerParamGroup(std::move(parameters))}, std::move(options)) {}

AdamW::AdamW(std::vector<torch::optim::OptimizerParamGroup> groups, AdamWOptions defaults)
    : MasterOptimizer("AdamW", std::move(groups),
                      std::make_unique<GroupOptions<AdamWOptions>>(std::move(defaults))) {}

std::vector<std::string> AdamW::state_names(const GroupOptionsBase& options) const {
  if (as<AdamWOptions>(options).amsgrad) return {"exp_avg", "exp_avg_sq", "max_exp_avg_sq"};
  return {"exp_avg", "exp_avg_sq"};
}

void AdamW::prepare(const GroupOptionsBase& options, std::int64_t step, bool,
                    ops::ParameterUpdate& update) const {
  const auto& o = as<AdamWOptions>(options);
  update.rule = kernels::UpdateRule::adam;
  update.numbers = ops::adam_numbers(o.lr, o.betas[0], o.betas[1], o.eps, o.weight_decay,
                                     /*decoupled=*/true, step);
}

}  // namespace halftone::optim
