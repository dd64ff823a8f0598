// Peak memory of one arm: a few steps in a process of its own.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "halftone/base/json.h"
#include "halftone/tasks/comparison.h"

namespace halftone::tasks {

// In the child: trains a few steps of the run whose config.toml is in `directory`, from new
// weights, and says what the peaks were. Writes nothing.
MemoryPeaks measure_memory_here(const std::filesystem::path& directory);

// In the parent: starts `program` (this one) with the hidden command that calls
// measure_memory_here(), and reads its answer. Throws Error with the child's message where it
// fails.
MemoryPeaks measure_memory_in_child(const std::filesystem::path& program,
                                    const std::filesystem::path& directory);

Json to_json(const MemoryPeaks& peaks);
MemoryPeaks memory_peaks_from_json(const Json& json);

}  // namespace halftone::tasks
