#include "halftone/optim/lamb.h"

#include "halftone/ops/optimizer_ops.h"
#include "halftone/optim/option_io.h"

namespace halftone::optim {

void check_options(const LAMBOptions& o, const std::string& where) { check_adaptive(o, where); }

void write_options(const LAMBOptions& o, StateDict& dict) {
  write_adaptive(o, dict);
  dict.insert("adapt_without_decay", o.adapt_without_decay);
}

void read_options(LAMBOptions& o, StateReader& reader) {
  read_adaptive(o, reader);
  o.adapt_without_decay = reader.boolean("adapt_without_decay");
}

LAMB::LAMB(std::vector<at::Tensor> parameters, LAMBOptions options)
    : LAMB({torch::optim::OptimizerParamGroup(std::move(parameters))}, std::move(options)) {}

LAMB::LAMB(std::vector<torch::optim::OptimizerParamGroup> groups, LAMBOptions defaults)
    : MasterOptimizer("LAMB", std::move(groups),
                      std::make_unique<GroupOptions<LAMBOptions>>(std::move(defaults))) {}

std::vector<std::string> LAMB::state_names(const GroupOptionsBase&) const {
  return {"exp_avg", "exp_avg_sq"};
}

void LAMB::prepare(const GroupOptionsBase& options, std::int64_t step, bool,
                   ops::ParameterUpdate& update) const {
  const auto& o = as<LAMBOptions>(options);
  update.rule = kernels::UpdateRule::lamb_direction;
  update.numbers = ops::lamb_numbers(o.lr, o.betas[0], o.betas[1], o.eps, o.weight_decay, step);
}

void LAMB::apply(std::vector<ops::ParameterUpdate>& updates,
                 const std::vector<const GroupOptionsBase*>& options) {
  std::vector<bool> adapt;
  for (const GroupOptionsBase* each : options) {
    const auto& o = as<LAMBOptions>(*each);
    adapt.push_back(o.weight_decay != 0 || o.adapt_without_decay);
  }
  ops::lamb_update(updates, adapt);
}

}  // namespace halftone::optim
