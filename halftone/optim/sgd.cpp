#include "halftone/optim/sgd.h"

#include "halftone/ops/optimizer_ops.h"
#include "halftone/optim/option_io.h"

namespace halftone::optim {

void check_options(const SGDOptions& o, const std::string& where) {
  check_common(GroupOptions<SGDOptions>(o).common(), where);
  require_option(std::isfinite(o.momentum) && o.momentum >= 0, o.momentum, "a finite number >= 0",
                 where, "momentum");
  require_option(std::isfinite(o.dampening), o.dampening, "a finite number", where, "dampening");
  if (o.nesterov && (o.momentum == 0 || o.dampening != 0)) {
    throw UsageError(
        "momentum " + format_number(o.momentum) + " and dampening " + format_number(o.dampening),
        "momentum > 0 and dampening 0 with nesterov", where);
  }
}

void write_options(const SGDOptions& o, StateDict& dict) {
  write_common(o, dict);
  dict.insert("momentum", o.momentum);
  dict.insert("dampening", o.dampening);
  dict.insert("nesterov", o.nesterov);
}

void read_options(SGDOptions& o, StateReader& reader) {
  read_common(o, reader);
  o.momentum = reader.number("momentum");
  o.dampening = reader.number("dampening");
  o.nesterov = reader.boolean("nesterov");
}

SGD::SGD(std::vector<at::Tensor> parameters, SGDOptions options)
    : SGD({torch::optim::OptimizerParamGroup(std::move(parameters))}, std::move(options)) {}

SGD::SGD(std::vector<torch::optim::OptimizerParamGroup> groups, SGDOptions defaults)
    : MasterOptimizer("SGD", std::move(groups),
                      std::make_unique<GroupOptions<SGDOptions>>(std::move(defaults))) {}

std::vector<std::string> SGD::state_names(const GroupOptionsBase& options) const {
  if (as<SGDOptions>(options).momentum == 0) return {};
  return {"momentum_buffer"};
}

void SGD::prepare(const GroupOptionsBase& options, std::int64_t, bool first,
                  ops::ParameterUpdate& update) const {
  const auto& o = as<SGDOptions>(options);
  update.rule = kernels::UpdateRule::sgd;
  update.numbers =
      ops::sgd_numbers(o.lr, o.momentum, o.dampening, o.weight_decay, o.nesterov, first);
}

}  // namespace halftone::optim
