// The verb that puts a policy on a network.
#pragma once

#include <string>

#include "halftone/base/export.h"
#include "halftone/precision/format.h"
#include "halftone/precision/policy.h"

namespace torch::nn {
class Module;
}

namespace halftone {

// Puts `policy` on any module tree, in place, before an optimizer is made for it:
//  - registers the parameters' names (precision/parameter_names.h) and the order of its layers,
//  which
//    emulation asks for (EmulationPolicy);
//  - rounds every floating-point parameter first to policy.init, then to the format in which it is
//    stored: storage_format(). A network initialised in fp64 is thus rounded once where
//    policy.init is fp64. The parameter stays the same tensor object, its strides stay, a gradient
//    follows it;
//  - brings floating-point buffers (running statistics) to fp32.
// It can be called again, with another policy. Throws UsageError where policy.check() does, and,
// before anything is changed, for a rule of policy.modules that matches no parameter and no module:
// a typing error in a name would otherwise train in a format that nobody asked for. With a prefix
// the module is a part of a network, and a rule may be for another part: then none is refused.
// Not thread-safe with respect to `module`. Call it as halftone::apply(): torch::nn::Module has a
// base in std, so that the bare name means std::apply, too.
HALFTONE_API void apply(const Policy& policy, torch::nn::Module& module,
                        const std::string& prefix = "");

// The format in which the parameter `name` of `owner` (the module that holds it itself) is stored:
// fp32 where weights are stored in fp32 or `owner` is a normalisation layer; else that of the last
// matching rule of policy.modules; else the compute format.
HALFTONE_API Format storage_format(const Policy& policy, const torch::nn::Module& owner,
                                   const std::string& name);

// True for LibTorch's BatchNorm, InstanceNorm, LayerNorm and GroupNorm, what derives from them, and
// any module whose class is called ...Norm (RMSNorm, FrozenBatchNorm2d, NormImpl).
HALFTONE_API bool is_normalization(const torch::nn::Module& module);

}  // namespace halftone
