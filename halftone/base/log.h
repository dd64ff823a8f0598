// Channels that a person switches on (HALFTONE_LOG=dispatch,scaler) and warnings. The library never
// writes to stdout; a sink decides where lines go.
#pragma once

#include <string>
#include <string_view>

#include "halftone/base/export.h"

namespace halftone {

// Receives every warning and every line of an enabled channel. Called from any thread.
using LogSink = void (*)(std::string_view channel, std::string_view line);

// True where HALFTONE_LOG (comma-separated, read once) names `channel`.
HALFTONE_API bool log_enabled(std::string_view channel);

// Sends a line to the sink if its channel is enabled.
HALFTONE_API void log_line(std::string_view channel, const std::string& line);

// Sends a line to the sink on channel "warning", always. ops/ sets a sink that uses LibTorch's own
// warning handler; without it the line goes to stderr.
HALFTONE_API void warn(const std::string& line);

// Replaces the sink and returns the one before; null restores stderr. Thread-safe.
HALFTONE_API LogSink set_log_sink(LogSink sink);

}  // namespace halftone
