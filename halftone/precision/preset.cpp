// The presets as one table.
#include <array>
#include <utility>

#include "halftone/base/error.h"
#include "halftone/base/text.h"
#include "halftone/precision/policy.h"
#include "halftone/precision/policy_check.h"

namespace halftone {
namespace {

struct Preset {
  const char* name;
  Format compute;
  WeightStorage weights;
};

constexpr std::array kPresets{
    Preset{"fp32", Format::fp32, WeightStorage::fp32},
    Preset{"bf16", Format::bf16, WeightStorage::fp32},
    Preset{"fp16", Format::fp16, WeightStorage::fp32},
    Preset{"bf16-master", Format::bf16, WeightStorage::half_master},
    Preset{"fp16-master", Format::fp16, WeightStorage::half_master},
    Preset{"bf16-stochastic", Format::bf16, WeightStorage::half_stochastic},
    Preset{"fp16-stochastic", Format::fp16, WeightStorage::half_stochastic},
    Preset{"bf16-kahan", Format::bf16, WeightStorage::half_kahan},
    Preset{"fp16-kahan", Format::fp16, WeightStorage::half_kahan},
};

// Apex's opt_level (nvidia.github.io/apex/amp.html). O3, "pure half", has neither masters nor any
// other copy; rounding its updates stochastically is what lets it train.
constexpr std::array kApexLevels{
    std::pair{"O0", "fp32"},
    std::pair{"O1", "fp16"},
    std::pair{"O2", "fp16-master"},
    std::pair{"O3", "fp16-stochastic"},
};

// Micikevicius et al., "FP8 formats for deep learning" (arXiv:2209.05433), 3: E4M3 for weights and
// activations, E5M2 for gradients, scales per tensor; everything else in fp32.
constexpr const char* kFp8 = "fp8-sim";

Policy fp8_simulation() {
  Policy policy;
  policy.name = kFp8;
  policy.emulation.weights = policy.emulation.activations = "e4m3fn";
  policy.emulation.gradients = "e5m2";
  return policy;
}

// Two ways out where one loss scale does not fit all layers (DynamicPolicy). Twice, so that an
// operation is not judged by one batch.
constexpr const char* kDynamic = "fp16-dynamic";
constexpr const char* kLayers = "fp16-layers";
constexpr std::int64_t kOverflows = 2;

Policy make(const Preset& preset) {
  Policy policy;
  policy.name = preset.name;
  policy.compute = preset.compute;
  policy.weights = preset.weights;
  policy.evaluation = preset.compute;
  policy.gradients = gradient_format(policy);
  // fp16's smallest positive number is 2^-24, most gradients are below; bf16 has fp32's exponents.
  if (preset.compute == Format::fp16) policy.loss_scale.kind = LossScaling::dynamic;
  return policy;
}

Policy make_dynamic(const std::string& name) {
  Policy policy = make({name.c_str(), Format::fp16, WeightStorage::fp32});
  if (name == kDynamic) {
    policy.dynamic.overflows = kOverflows;
  } else {
    policy.dynamic.layer_scales = true;
    policy.loss_scale.kind = LossScaling::none;
  }
  return policy;
}

}  // namespace

Policy Policy::preset(const std::string& name) {
  std::string wanted = name;
  for (const auto& [level, preset] : kApexLevels) {
    if (name == level) wanted = preset;
  }
  for (const Preset& preset : kPresets) {
    if (wanted == preset.name) return make(preset);
  }
  if (wanted == kDynamic || wanted == kLayers) return make_dynamic(wanted);
  if (wanted == kFp8) return fp8_simulation();
  throw UsageError("unknown preset " + quote(name), choices(name, preset_names()));
}

std::vector<std::string> Policy::preset_names() {
  std::vector<std::string> names;
  for (const Preset& preset : kPresets) names.emplace_back(preset.name);
  for (const char* each : {kDynamic, kLayers, kFp8}) names.emplace_back(each);
  for (const auto& [level, preset] : kApexLevels) names.emplace_back(level);
  return names;
}

}  // namespace halftone
