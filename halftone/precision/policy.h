// Policy: one value that says everything about precision.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/precision/format.h"

namespace halftone {

// Where a network's weights live while it trains.
enum class WeightStorage {
  fp32,             // fp32 weights, cast per operation by Autocast
  half_master,      // half weights, fp32 masters in the optimizer (Micikevicius et al. 2018, 3.1)
  half_stochastic,  // half weights alone, updates rounded stochastically
  half_kahan,       // half weights and a half compensation term (Kahan summation)
};

enum class LossScaling { none, fixed, dynamic };

// As policies spell them: "half-master"; "none", "static", "dynamic".
HALFTONE_API const char* weight_storage_name(WeightStorage storage);
HALFTONE_API const char* loss_scaling_name(LossScaling kind);

// Loss scaling and its numbers (Micikevicius et al. 2018, 3.2; defaults of torch.amp.GradScaler).
struct LossScalePolicy {
  LossScaling kind = LossScaling::none;
  double init = 65536;
  double growth_factor = 2;
  double backoff_factor = 0.5;
  std::int64_t growth_interval = 2000;  // finite steps in a row before the scale grows
  double min = 1;                       // the scale never falls below
  double max = 0x1p126;                 // nor grows above (fp32 holds up to 2^128)
  std::int64_t hysteresis = 1;          // overflows (growth in between resets) before it falls

  bool operator==(const LossScalePolicy&) const = default;
};

// An exception: names that match the glob (*, ?) compute in `format`.
struct FormatRule {
  std::string match;
  Format format = Format::fp32;

  bool operator==(const FormatRule&) const = default;
};

// How an emulated format's scale is found (one power of two for a tensor, but amax / L for fixed
// point, with L its largest number).
enum class EmulationScaling {
  current,  // from the largest magnitude (amax) of the tensor itself
  delayed,  // from that of the last uses of the same layer (Transformer Engine's DelayedScaling)
  block,    // for every 32 elements along the dimension that is summed (OCP Microscaling v1.0)
};
HALFTONE_API const char* emulation_scaling_name(EmulationScaling scaling);

// Formats that the machine does not have, emulated: the operands of products with a weight (linear,
// mm, addmm, matmul, convolutions) are rounded to them and back, and so is the gradient that flows
// into such an operation, which its backward pass then multiplies by the rounded operands. The
// rounding itself passes gradients unchanged. What is beyond the largest number saturates; a tensor
// with an infinity or NaN stays as it is. Formats: number_format_names() (precision/quantize.h), or
// "none". Only for weights that apply() has seen, on the CPU, and where no rule of `modules` or
// `operations` applies.
struct EmulationPolicy {
  std::string weights = "none";
  std::string activations = "none";
  std::string gradients = "none";
  EmulationScaling scaling = EmulationScaling::current;
  std::int64_t history = 16;  // delayed: uses that are looked back upon
  // The first and the last layer are left out: of the weights of two dimensions or more whose name
  // begins with "weight" or ends with it, normalisations' and embeddings' apart, in the order in
  // which apply() meets them, the first and the last.
  bool exempt_ends = true;
  bool stochastic_gradients = false;  // gradients are rounded stochastically

  bool active() const;
  bool operator==(const EmulationPolicy&) const = default;
};

// What changes while a network trains. An operation whose output in fp16 is not finite though its
// inputs are goes to fp32 where that happens repeatedly, and is tried again later. The Trainer
// finds it by running the skipped step again (TrainerOptions::explain_overflow), so that steps
// which are not skipped cost nothing; `scale_floor` leaves to the loss scale what is its own
// business.
struct DynamicPolicy {
  std::int64_t overflows = 0;  // of an operation before it goes to fp32; 0: none goes
  std::int64_t within = 1000;  // steps in which they are counted
  // Gradients that overflow at a loss scale above it are the scale's, which falls. What overflows
  // in the forward pass, which is not scaled, always counts.
  double scale_floor = 1024;
  // Steps in fp32 until the operation is tried again in its format. For as many steps its first
  // overflow, at whatever scale, then sends it back, for twice as long as before.
  std::int64_t retry = 2000;
  // Each lowered operation's gradient is brought to the middle of fp16 by a power of two of its
  // own, which its results are divided by in fp32, exactly: an alternative to one loss scale.
  // Between such operations activations and gradients are fp32 (precision/layer_scales.h).
  bool layer_scales = false;

  bool operator==(const DynamicPolicy&) const = default;
};

// What the formats cost, measured while a network trains: at intervals a few held-out batches are
// evaluated in the training formats and in the reference format on the full-precision weights.
// Where the results are further apart than a bound, the operations that contribute most (lowered
// alone: numerics/precision_probe.h) go up a format, an emulated one to the compute format, another
// one to fp32, until they add less than the bound to the gap; where the gap stays small they come
// down again, one at a time. Weights stay stored as they are. What a calibration that moves nothing
// does leaves no trace in training. Cost: two evaluations of `batches`; where something moves, two
// training steps for each operation of the network and an evaluation for each move.
struct CalibrationPolicy {
  std::int64_t every = 500;         // steps between calibrations
  std::int64_t batches = 2;         // of the evaluation data, the first ones
  Format reference = Format::fp32;  // fp32 or fp64
  double loss_bound = 0.01;         // |loss - reference's| / |reference's|; 0: not looked at
  double metric_bound = 0;          // |metric - reference's|, of the first one; 0: not looked at
  double release = 0.5;             // times its bound a gap is small below
  std::int64_t patience = 3;        // small gaps in a row before an operation comes down; for as
                                    // many after it, going up again doubles them

  bool operator==(const CalibrationPolicy&) const = default;
};

struct Policy {
  std::string name = "fp32";
  Format compute = Format::fp32;                // matmul-like operations
  WeightStorage weights = WeightStorage::fp32;  // half storage has the compute format
  std::vector<FormatRule> modules;     // globs on parameter and module names, the last match wins
  std::vector<FormatRule> operations;  // globs on operation names ("conv2d"), the last match wins
  LossScalePolicy loss_scale;
  EmulationPolicy emulation;
  DynamicPolicy dynamic;
  std::optional<CalibrationPolicy> calibrate;  // empty: nothing is measured
  // Of gradients, which are accumulated as they are kept: the weights' format, so far no other.
  Format gradients = Format::fp32;
  // In which gradients are summed across processes: fp32, so far no other.
  Format reduction = Format::fp32;
  Format save = Format::fp32;        // of the weights in exported files
  Format init = Format::fp32;        // in which weights are initialised: fp32 or fp64
  Format evaluation = Format::fp32;  // of evaluation: the compute format, fp32 or fp64

  bool operator==(const Policy&) const = default;

  // "fp32", "bf16", "fp16", "fp16-dynamic" and "fp16-layers" (DynamicPolicy), "fp16-master",
  // "bf16-master", "bf16-stochastic", "bf16-kahan", …, "fp8-sim" (E4M3 forward and E5M2 backward,
  // emulated), and Apex's levels "O0" to "O3". Throws UsageError with the nearest name for any
  // other.
  static HALFTONE_API Policy preset(const std::string& name);
  static HALFTONE_API std::vector<std::string> preset_names();

  // The format that the exceptions give to a parameter or module: that of the last rule whose glob
  // matches `name` or the name of a module around it ("fc" covers "fc.weight", and "layer1" covers
  // "layer1.0.conv1.weight"); empty where none does.
  HALFTONE_API std::optional<Format> module_format(std::string_view name) const;
  // The same for an operation's name, as it is.
  HALFTONE_API std::optional<Format> operation_format(std::string_view name) const;

  // The policy of evaluation: computes in the evaluation format; emulates as in training where that
  // is the compute format, else nothing.
  HALFTONE_API Policy for_evaluation() const;

  // Throws UsageError "<key>: …" where the fields contradict each other, are out of range, ask for
  // what does not happen, or name an operation that the cast table lacks, as from_toml() does.
  HALFTONE_API void check() const;

  // Reads what to_toml() writes; every key may be left out, and `preset = "bf16"` names what the
  // others start from (else fp32); `gradients` follows weights and compute format. Throws
  // UsageError "<where>:<line>: …" with the nearest name for a key, format or preset that it does
  // not know, for a wrong type and for a value out of range.
  static HALFTONE_API Policy from_toml(const std::string& text,
                                       const std::string& where = "policy");
  // from_toml() of a file; throws Error where it can't be read.
  static HALFTONE_API Policy load(const std::string& path);
  // One line per field, comments with what else it may be; reads back equal.
  HALFTONE_API std::string to_toml() const;
};

}  // namespace halftone
