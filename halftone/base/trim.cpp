#include "halftone/base/trim.h"

#include <algorithm>
#include <mutex>
#include <vector>

namespace halftone {
namespace {

struct TrimList {
  std::mutex mutex;
  std::vector<void (*)()> functions;
};

TrimList& trim_list() {
  static auto* value = new TrimList;  // never freed: static objects may trim as they go
  return *value;
}

}  // namespace

void on_trim(void (*release)()) {
  TrimList& list = trim_list();
  const std::lock_guard<std::mutex> lock(list.mutex);
  auto& all = list.functions;
  if (std::find(all.begin(), all.end(), release) == all.end()) all.push_back(release);
}

void trim() {
  std::vector<void (*)()> functions;
  {
    TrimList& list = trim_list();
    const std::lock_guard<std::mutex> lock(list.mutex);
    functions = list.functions;
  }
  for (auto* release : functions) release();
}

}  // namespace halftone
