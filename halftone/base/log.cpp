#include "halftone/base/log.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace halftone {
namespace {

void to_stderr(std::string_view channel, std::string_view line) {
  std::fprintf(stderr, "[halftone %.*s] %.*s\n", static_cast<int>(channel.size()), channel.data(),
               static_cast<int>(line.size()), line.data());
}

std::atomic<LogSink> g_sink{to_stderr};

const std::string& channels() {
  static const std::string text = [] {
    const char* value = std::getenv("HALFTONE_LOG");
    return "," + std::string(value ? value : "") + ",";
  }();
  return text;
}

}  // namespace

bool log_enabled(std::string_view channel) {
  return channels().find("," + std::string(channel) + ",") != std::string::npos;
}

void log_line(std::string_view channel, const std::string& line) {
  if (log_enabled(channel)) g_sink.load()(channel, line);
}

void warn(const std::string& line) { g_sink.load()("warning", line); }

LogSink set_log_sink(LogSink sink) { return g_sink.exchange(sink ? sink : to_stderr); }

}  // namespace halftone
