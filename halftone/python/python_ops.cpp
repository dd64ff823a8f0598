// What Python's `import halftone` calls: functions of the library as LibTorch operations
// (torch.ops.halftone.*), so that no binding code and no libtorch_python is needed.
#include <torch/library.h>
#include <torch/version.h>

#include <string>
#include <vector>

#include "halftone/base/error.h"
#include "halftone/base/json.h"
#include "halftone/base/text.h"
#include "halftone/base/trim.h"
#include "halftone/nn/batch_norm_function.h"
#include "halftone/nn/prepack.h"
#include "halftone/nn/recipe.h"
#include "halftone/numerics/machine.h"
#include "halftone/ops/caching_allocator.h"
#include "halftone/ops/enable.h"
#include "halftone/ops/packed_weights.h"
#include "halftone/precision/cast_kernels.h"
#include "halftone/precision/policy.h"

// Python looks for it in the file before it loads it: the symbols of another LibTorch differ.
extern "C" HALFTONE_API __attribute__((used)) const char halftone_built_for[] =
    "halftone-built-for-torch=" TORCH_VERSION;

namespace halftone::python {
namespace {

Json allocator_info() {
  const memory::CacheStatistics cache = memory::cache_statistics();
  Json json;
  json["caching"] = memory::caching_allocator_installed();
  json["in_use_bytes"] = cache.in_use_bytes;
  json["peak_in_use_bytes"] = cache.peak_in_use_bytes;
  json["cached_bytes"] = cache.cached_bytes;
  json["limit_bytes"] = cache.limit_bytes;
  json["reused"] = cache.reused;
  json["fresh"] = cache.fresh;
  return json;
}

// A JSON object.
std::string info() {
  const numerics::Machine machine = numerics::this_machine();
  Json json;
  json["halftone"] = machine.halftone_version;
  json["libtorch"] = machine.libtorch_version;
  json["enabled"] = enabled();
  json["cpu"] = machine.cpu;
  json["rung"] = machine.rung;
  Json rungs = Json::array();
  for (const auto& each : machine.rungs) rungs.push_back(each);
  json["rungs"] = std::move(rungs);
  json["threads"] = machine.threads;
  Json served = Json::object();
  for (const OperationState& each : operations()) served[each.name] = each.enabled;
  json["operations"] = std::move(served);
  json["allocator"] = allocator_info();
  return json.dump();
}

// How a policy (a preset's name, or a TOML file's path) stores weights, and in which format each of
// these parameters, if none belonged to a normalisation.
std::tuple<std::string, std::vector<std::string>> storage_formats(
    const std::string& policy, const c10::List<std::string>& names) {
  const Policy chosen = policy.ends_with(".toml") ? Policy::load(policy) : Policy::preset(policy);
  if (chosen.emulation.active()) {
    throw UsageError("policy " + quote(chosen.name) + " emulates number formats",
                     "one that does not: Halftone's Autocast in C++ alone carries that out");
  }
  const bool half = chosen.weights != WeightStorage::fp32;
  std::vector<std::string> formats;
  for (const std::string& name : names.vec()) {
    const Format format = chosen.module_format(name).value_or(chosen.compute);
    formats.emplace_back(format_name(half ? format : Format::fp32));
  }
  return {weight_storage_name(chosen.weights), formats};
}

// relu(batch_norm(x) + residual) as nn::BatchNormReLU and BatchNormAddReLU run it. Made of other
// operations, each with its own kernels for autograd, CPU and Meta.
at::Tensor batch_norm_relu(const at::Tensor& x, const std::optional<at::Tensor>& residual,
                           const std::optional<at::Tensor>& weight,
                           const std::optional<at::Tensor>& bias,
                           const std::optional<at::Tensor>& running_mean,
                           const std::optional<at::Tensor>& running_var, bool training,
                           double momentum, double eps) {
  return nn::batch_norm_relu({weight, bias, running_mean, running_var, training, momentum, eps}, x,
                             residual.value_or(at::Tensor()));
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(halftone, m) {
  m.def("enable() -> ()", [] {
    enable();
    install_loss_kernels();
  });
  m.def("disable() -> ()", &disable);
  m.def("trim() -> ()", &trim);
  m.def("info() -> str", &info);
  m.def(
      "batch_norm_relu(Tensor x, Tensor? residual, Tensor? weight, Tensor? bias, "
      "Tensor(a!)? running_mean, Tensor(b!)? running_var, bool training, float momentum, float "
      "eps) "
      "-> Tensor",
      &batch_norm_relu);
  m.def("prepack_weight(Tensor weight, int groups) -> str", &prepack_weight);
  m.def("unpack_weight(Tensor weight) -> ()", &ops::forget_packed);
  m.def("recompute_input(Tensor output, Tensor input) -> bool", &nn::recompute_input);
  m.def("storage_formats(str policy, str[] names) -> (str weights, str[] formats)",
        &storage_formats);
}

}  // namespace halftone::python
