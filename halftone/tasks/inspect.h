// What `halftone inspect` shows of a run: which layer is in danger in which format.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "halftone/numerics/range_report.h"

namespace halftone::tasks {

// A run's ranges.jsonl and the history in its metrics.jsonl.
struct RunRanges {
  std::string policy, format;  // the format that danger is measured in: what the run computes in
  std::vector<numerics::RangeReport> samples;
  std::vector<double> steps, log2_scale, skipped;  // skipped: so far
  std::vector<std::string> faults;                 // one line each
};

// Throws Error where `run` is no run, or none that was sampled; lines that are torn are passed
// over. format: another of numerics::kCandidateFormats; empty: the run's own, fp16 where it
// computes in fp32. Throws UsageError for a name that is not there.
RunRanges load_ranges(const std::filesystem::path& run, const std::string& format = "");

// One tensor as a format would hold it.
struct TensorDanger {
  const numerics::TensorStatistics* tensor;
  double headroom;  // bits to overflow
  numerics::FormatFit fit;
  double danger;  // 0 to 1
};

// Of one sample, in its order.
std::vector<TensorDanger> dangers(const numerics::RangeReport& sample, const std::string& format);

// The last sample's most endangered tensors, as a table for the terminal with the what-if columns.
std::string inspect_text(const RunRanges& ranges, std::size_t rows = 20);
// The page: heat maps, layers down and steps across; loss scale and skipped steps; all tensors.
std::string inspect_page(const RunRanges& ranges);

}  // namespace halftone::tasks
