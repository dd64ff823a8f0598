#include "halftone/ops/enable.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string_view>

#include "halftone/base/error.h"
#include "halftone/base/text.h"
#include "halftone/ops/caching_allocator.h"
#include "halftone/ops/overrides/override.h"

namespace halftone {
namespace {

struct Entry {
  ops::Override override;
  std::unique_ptr<torch::Library> library;  // null while LibTorch's own kernel is in force
};

struct State {
  std::mutex mutex;
  std::vector<Entry> entries;
  bool enabled = false;
};

State& state() {
  static auto* value = new State;  // never freed: LibTorch's dispatcher may be gone before it
  return *value;
}

// LibTorch warns, once per process, when a kernel replaces its own.
class Silence final : public c10::WarningHandler {
 public:
  void process(const c10::Warning& warning) override {
    if (warning.msg().find("overrid") == std::string::npos) outer_->process(warning);
  }
  explicit Silence(c10::WarningHandler* outer) : outer_(outer) {}

 private:
  c10::WarningHandler* outer_;
};

// The operations that HALFTONE_DISABLE names.
std::vector<std::string> left_out(const std::vector<Entry>& entries) {
  const char* value = std::getenv("HALFTONE_DISABLE");
  std::vector<std::string> names, known;
  for (const Entry& each : entries) known.push_back(each.override.name);
  std::string rest = value ? value : "";
  while (!rest.empty()) {
    const auto comma = std::min(rest.find(','), rest.size());
    const std::string name = rest.substr(0, comma);
    rest.erase(0, comma + 1);
    if (name.empty()) continue;
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      std::sort(known.begin(), known.end());
      throw UsageError("\"" + name + "\"", "an operation: " + join(known, ", "),
                       "HALFTONE_DISABLE");
    }
    names.push_back(name);
  }
  return names;
}

}  // namespace

namespace ops {

OverrideRegistration::OverrideRegistration(Override override) {
  state().entries.push_back({override, nullptr});
}

bool is_installed(const char* name) {
  State& s = state();
  const std::lock_guard<std::mutex> lock(s.mutex);
  return std::any_of(s.entries.begin(), s.entries.end(), [&](const Entry& each) {
    return each.library && std::string_view(each.override.name) == name;
  });
}

}  // namespace ops

void enable() {
  State& s = state();
  const std::lock_guard<std::mutex> lock(s.mutex);
  if (s.enabled) return;
  const std::vector<std::string> out = left_out(s.entries);
  memory::install_caching_allocator();
  Silence silence(c10::WarningUtils::get_warning_handler());
  const c10::WarningUtils::WarningHandlerGuard guard(&silence);
  for (Entry& each : s.entries) {
    if (std::find(out.begin(), out.end(), each.override.name) != out.end()) continue;
    each.library = std::make_unique<torch::Library>(torch::Library::IMPL, "aten", each.override.key,
                                                    __FILE__, __LINE__);
    each.override.install(*each.library);
  }
  s.enabled = true;
}

void disable() {
  State& s = state();
  const std::lock_guard<std::mutex> lock(s.mutex);
  for (Entry& each : s.entries) each.library.reset();
  memory::uninstall_caching_allocator();
  s.enabled = false;
}

bool enabled() {
  State& s = state();
  const std::lock_guard<std::mutex> lock(s.mutex);
  return s.enabled;
}

std::vector<OperationState> operations() {
  State& s = state();
  const std::lock_guard<std::mutex> lock(s.mutex);
  std::vector<OperationState> list;
  for (const Entry& each : s.entries) list.push_back({each.override.name, each.library != nullptr});
  std::sort(list.begin(), list.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return list;
}

}  // namespace halftone
