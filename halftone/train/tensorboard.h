// TensorBoard event files: TFRecord framing around Event messages, both written by hand.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/base/file.h"

namespace halftone {

// Appends records to "<directory>/events.out.tfevents.<seconds>.halftone.<pid>". Each reaches the
// file before the call returns; one that is torn by a kill is the last, and readers stop before it.
// Source: tensorflow/core/util/event.proto, tensorboard's summary.proto. Not thread-safe.
class HALFTONE_API EventWriter {
 public:
  using Scalars = std::vector<std::pair<std::string, double>>;

  // Creates the file. Throws Error.
  explicit EventWriter(const std::filesystem::path& directory);

  // One event with a value per tag.
  void add_scalars(std::int64_t step, const Scalars& scalars);
  // One event with a histogram per tag: counts of values in [upper_bound - 1, upper_bound).
  struct Histogram {
    std::string tag;
    std::vector<std::pair<double, double>> buckets;  // upper bound, ascending; count
  };
  void add_histograms(std::int64_t step, const std::vector<Histogram>& histograms);
  // Marks a restart: readers forget what other files of the directory hold for `step` and later.
  void add_restart(std::int64_t step);

 private:
  void add_event(std::int64_t step, const std::string& fields);

  AppendFile file_;
};

}  // namespace halftone
