// The fields of a Policy in TOML: tables that reading and writing share.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "halftone/precision/policy.h"

namespace halftone::policy_fields {

template <class Owner, class Type>
struct Field {
  const char* key;
  Type Owner::*member;
  const char* comment;
};

inline constexpr std::array kFormats{
    Field<Policy, Format>{"compute", &Policy::compute,
                          "of matmul-like operations: fp32, fp16 or bf16"},
    Field<Policy, Format>{"gradients", &Policy::gradients,
                          "as the weights: fp32, or the compute format"},
    Field<Policy, Format>{"reduction", &Policy::reduction, "of sums across processes: fp32"},
    Field<Policy, Format>{"save", &Policy::save, "of exported weights: fp32, fp16 or bf16"},
    Field<Policy, Format>{"init", &Policy::init, "of fresh weights: fp32 or fp64"},
    Field<Policy, Format>{"evaluation", &Policy::evaluation, "the compute format, fp32 or fp64"},
};

inline constexpr std::array kScaleNumbers{
    Field<LossScalePolicy, double>{"init", &LossScalePolicy::init, ""},
    Field<LossScalePolicy, double>{"growth_factor", &LossScalePolicy::growth_factor, ""},
    Field<LossScalePolicy, double>{"backoff_factor", &LossScalePolicy::backoff_factor, ""},
    Field<LossScalePolicy, double>{"min", &LossScalePolicy::min, ""},
    Field<LossScalePolicy, double>{"max", &LossScalePolicy::max, ""},
};

inline constexpr std::array kScaleCounts{
    Field<LossScalePolicy, std::int64_t>{"growth_interval", &LossScalePolicy::growth_interval,
                                         "finite steps in a row before the scale grows"},
    Field<LossScalePolicy, std::int64_t>{"hysteresis", &LossScalePolicy::hysteresis,
                                         "overflows before the scale falls"},
};

inline constexpr std::array kEmulatedFormats{
    Field<EmulationPolicy, std::string>{"weights", &EmulationPolicy::weights,
                                        "none, or a number format: e4m3fn, e5m2, int8, …"},
    Field<EmulationPolicy, std::string>{"activations", &EmulationPolicy::activations, "the same"},
    Field<EmulationPolicy, std::string>{"gradients", &EmulationPolicy::gradients, "the same"},
};

inline constexpr std::array kEmulationSwitches{
    Field<EmulationPolicy, bool>{"exempt_ends", &EmulationPolicy::exempt_ends,
                                 "the first and the last layer are left out"},
    Field<EmulationPolicy, bool>{"stochastic_gradients", &EmulationPolicy::stochastic_gradients,
                                 "round gradients stochastically"},
};

inline constexpr std::array kDynamicCounts{
    Field<DynamicPolicy, std::int64_t>{"overflows", &DynamicPolicy::overflows,
                                       "of an operation before it goes to fp32; 0: none goes"},
    Field<DynamicPolicy, std::int64_t>{"within", &DynamicPolicy::within,
                                       "steps in which they are counted"},
    Field<DynamicPolicy, std::int64_t>{"retry", &DynamicPolicy::retry,
                                       "steps until it is tried again in its format"},
};

inline constexpr std::array kCalibrationCounts{
    Field<CalibrationPolicy, std::int64_t>{"every", &CalibrationPolicy::every,
                                           "steps between calibrations"},
    Field<CalibrationPolicy, std::int64_t>{"batches", &CalibrationPolicy::batches,
                                           "of the evaluation data, the first ones"},
    Field<CalibrationPolicy, std::int64_t>{"patience", &CalibrationPolicy::patience,
                                           "small gaps in a row before an operation comes down"},
};

inline constexpr std::array kCalibrationNumbers{
    Field<CalibrationPolicy, double>{"loss_bound", &CalibrationPolicy::loss_bound,
                                     "of the gap of the loss, relative; 0: not looked at"},
    Field<CalibrationPolicy, double>{"metric_bound", &CalibrationPolicy::metric_bound,
                                     "of that of the first metric; 0: not looked at"},
    Field<CalibrationPolicy, double>{"release", &CalibrationPolicy::release,
                                     "times its bound a gap is small below"},
};

}  // namespace halftone::policy_fields
