// The archive within a checkpoint: zip records and a pickle that Python reads with weights_only.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "halftone/ops/state_dict.h"

namespace halftone {

// Hands the archive's bytes, in order, to `sink`; an exception of the sink is rethrown at the end.
void write_archive(const StateDict& state, const std::function<void(const void*, size_t)>& sink);

// Throws Error where the content is not such an archive.
StateDict read_archive(std::string_view content, const std::string& where);

}  // namespace halftone
