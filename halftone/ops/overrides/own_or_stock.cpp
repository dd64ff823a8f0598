#include "halftone/ops/overrides/own_or_stock.h"

#include <algorithm>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "halftone/base/log.h"

namespace halftone::ops {

void say_out_of_workspace(const char* operation) {
  static std::mutex mutex;
  static std::vector<std::string_view> said;
  {
    const std::lock_guard<std::mutex> lock(mutex);
    if (std::find(said.begin(), said.end(), operation) != said.end()) return;
    said.emplace_back(operation);
  }
  warn(std::string(operation) +
       ": no memory for the kernel's workspace, LibTorch's kernel runs instead (said once)");
}

}  // namespace halftone::ops
