// Checkpoints: state dictionaries as files that are whole or refused, and a directory of them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/ops/state_dict.h"

namespace halftone {

// Writes `state` (numbers, strings, tensors, lists and dictionaries of them; keys are strings or
// whole numbers) whole or not at all. The file is a zip archive that Python's
// torch.load(path, weights_only=True) reads, followed by a trailer of 24 bytes with its length and
// CRC-32C. Throws Error where it cannot be written; a file of that name before stays as it was.
HALFTONE_API void write_checkpoint(const std::filesystem::path& path, const StateDict& state);

// What was written; tensors on the CPU, lists of one kind as lists of that kind. Throws Error where
// length or checksum are not as the trailer says (torn) or there is no trailer (torn or foreign).
HALFTONE_API StateDict read_checkpoint(const std::filesystem::path& path);

// A directory of checkpoints "step-<number>.pt", of which the last K stay, and "best.pt", which
// always stays. Not thread-safe.
class HALFTONE_API CheckpointStore {
 public:
  struct Found {
    std::filesystem::path path;
    StateDict state;
  };

  CheckpointStore(std::filesystem::path directory, std::int64_t keep_last);

  // Creates the directory, removes what a killed run left half-written, and asks whether a file can
  // be made in it. Throws Error.
  void prepare();

  // Writes, then deletes those of older steps beyond the last K.
  std::filesystem::path write(std::int64_t step, const StateDict& state);
  std::filesystem::path write_best(const StateDict& state);

  // The newest that is whole, best.pt as the last resort; warns of each that is passed over.
  // Nothing where there are none; throws Error where there are some and none is whole.
  std::optional<Found> newest() const;

  // The paths of step-<number>.pt, newest first.
  std::vector<std::filesystem::path> list() const;
  void clear();  // deletes them all

 private:
  std::filesystem::path directory_;
  std::int64_t keep_last_;
};

}  // namespace halftone
