// Fills base/'s two torch-free hooks with LibTorch's: its thread pool and its warning handler.
#include <ATen/Parallel.h>
#include <c10/util/Exception.h>

#include <cstdio>
#include <string>

#include "halftone/base/log.h"
#include "halftone/base/parallel.h"

namespace halftone {
namespace {

void torch_parallel_for(std::int64_t begin, std::int64_t end, std::int64_t grain,
                        void (*body)(void*, std::int64_t, std::int64_t), void* context) {
  at::parallel_for(begin, end, grain, [=](std::int64_t b, std::int64_t e) { body(context, b, e); });
}

void torch_sink(std::string_view channel, std::string_view line) {
  if (channel == "warning") {
    TORCH_WARN("halftone: ", std::string(line));
    return;
  }
  std::fprintf(stderr, "[halftone %.*s] %.*s\n", static_cast<int>(channel.size()), channel.data(),
               static_cast<int>(line.size()), line.data());
}

[[maybe_unused]] const bool kInstalled = [] {
  set_parallel_for(torch_parallel_for);
  set_log_sink(torch_sink);
  return true;
}();

}  // namespace
}  // namespace halftone
