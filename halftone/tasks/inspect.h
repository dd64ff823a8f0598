// What `halftone inspect` shows of a run: which layer is in danger in which format.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "halftone/numerics/range_report.h"

namespace halftone::tasks {

// The format that danger is measured in, by kind of tensor.
struct HeldFormats {
  std::string activation, activation_grad, weight, weight_grad;

  static HeldFormats all(const std::string& format) { return {format, format, format, format}; }
  const std::string& of(numerics::TensorKind kind) const;
  // "fp16"; "E4M3 (activation, weight), E5M2 (activation_grad) and fp16 (weight_grad)".
  std::string text() const;
};

// A run's ranges.jsonl and the history in its metrics.jsonl.
struct RunRanges {
  std::string policy;
  // What the run computes in: a half format, else fp16; where it emulates formats, these for what
  // it rounds to them.
  HeldFormats formats;
  // What-if: numerics::kCandidateFormats, and what else the run emulates.
  std::vector<numerics::CandidateFormat> columns;
  std::vector<numerics::RangeReport> samples;
  std::vector<double> steps, log2_scale, skipped;  // skipped: so far
  std::vector<std::string> faults;                 // one line each
};

// Throws Error where `run` is no run, or none that was sampled; lines that are torn are passed
// over. format: one of inspect_formats(), for all tensors; empty: the run's own. Throws UsageError
// for a name that is not there.
RunRanges load_ranges(const std::filesystem::path& run, const std::string& format = "");

// numerics::kCandidateFormats and number_format_names() (precision/quantize.h).
std::vector<std::string> inspect_formats();

// One tensor as a format would hold it.
struct TensorDanger {
  const numerics::TensorStatistics* tensor;
  double headroom;  // bits to overflow
  numerics::FormatFit fit;
  double danger;  // 0 to 1
};

// Of one sample, in its order.
std::vector<TensorDanger> dangers(const numerics::RangeReport& sample, const HeldFormats& formats);

// The last sample's most endangered tensors, as a table for the terminal with the what-if columns.
std::string inspect_text(const RunRanges& ranges, std::size_t rows = 20);
// The page: heat maps, layers down and steps across; loss scale and skipped steps; all tensors.
std::string inspect_page(const RunRanges& ranges);

}  // namespace halftone::tasks
