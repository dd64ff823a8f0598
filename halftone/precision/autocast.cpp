#include "halftone/precision/autocast.h"

#include <ATen/autocast_mode.h>

#include <string_view>

#include "halftone/base/error.h"
#include "halftone/base/text.h"
#include "halftone/ops/torch_compat.h"
#include "halftone/precision/autocast_region.h"
#include "halftone/precision/cast_kernels.h"

namespace halftone {
namespace {

namespace torch_autocast = at::autocast;

std::size_t device_index(c10::DeviceType device) {
  const auto index = autocast_device_index(device);
  if (!index) {
    throw Error("device " + c10::DeviceTypeName(device, /*lower_case=*/true), "cpu or cuda",
                "Autocast");
  }
  return *index;
}

bool is_on(const Policy& policy) { return is_half(policy.compute) || policy.emulation.active(); }

// A copy of the thread's region, to be changed and installed.
std::shared_ptr<AutocastRegion> new_region() {
  const AutocastRegion* current = AutocastRegion::current();
  auto region = std::make_shared<AutocastRegion>();
  if (current != nullptr) {
    region->plans = current->plans;
    region->casts = current->casts;
  }
  return region;
}

std::shared_ptr<AutocastRegion> region_of(const Policy& policy, c10::DeviceType device,
                                          bool cache) {
  const std::size_t index = device_index(device);
  auto region = new_region();
  if (!cache) {
    region->casts = nullptr;
  } else if (region->casts == nullptr) {
    region->casts = std::make_shared<CastCache>();
  }
  region->plans[index] = nullptr;
  if (is_on(policy)) {
    if ((policy.emulation.active() || policy.dynamic.layer_scales) && device != c10::kCPU) {
      const std::string what = policy.emulation.active() ? "emulated formats" : "layer scales";
      throw UsageError(what + " on " + c10::DeviceTypeName(device, /*lower_case=*/true), "the CPU",
                       "policy " + quote(policy.name));
    }
    region->plans[index] = CastPlan::of(policy);
    install_cast_kernels(*region->plans[index]);
  }
  return region;
}

std::shared_ptr<AutocastRegion> region_without(c10::DeviceType device) {
  const std::size_t index = device_index(device);
  auto region = new_region();
  region->plans[index] = nullptr;
  return region;
}

}  // namespace

c10::DebugInfoKind AutocastRegion::kind() {
  static constexpr std::string_view kName = "HALFTONE_AUTOCAST";
  static const c10::DebugInfoKind kKind = compat::debug_info_kind(&kName);
  return kKind;
}

AutocastRegion* AutocastRegion::current() {
  return static_cast<AutocastRegion*>(c10::ThreadLocalDebugInfo::get(kind()));
}

AutocastState AutocastState::capture() {
  AutocastState state;
  for (std::size_t i = 0; i < kAutocastDevices.size(); ++i) {
    state.devices_[i] = {torch_autocast::is_autocast_enabled(kAutocastDevices[i]),
                         torch_autocast::get_autocast_dtype(kAutocastDevices[i])};
  }
  state.cache_ = torch_autocast::is_autocast_cache_enabled();
  if (AutocastRegion* region = AutocastRegion::current()) {
    state.region_ = region->shared_from_this();
  }
  return state;
}

void AutocastState::apply() const {
  for (std::size_t i = 0; i < kAutocastDevices.size(); ++i) {
    torch_autocast::set_autocast_enabled(kAutocastDevices[i], devices_[i].enabled);
    torch_autocast::set_autocast_dtype(kAutocastDevices[i], devices_[i].format);
  }
  torch_autocast::set_autocast_cache_enabled(cache_);
}

AutocastScope::AutocastScope(const std::shared_ptr<AutocastRegion>& region)
    : before_(AutocastState::capture()), region_(region), guard_(AutocastRegion::kind(), region) {
  torch_autocast::increment_nesting();
}

AutocastScope::~AutocastScope() {
  before_.apply();
  if (torch_autocast::decrement_nesting() == 0) torch_autocast::clear_cache();
  // States that were captured inside may outlive the region; the cast weights must not.
  const bool inherited = before_.region_ != nullptr && before_.region_->casts == region_->casts;
  if (region_->casts != nullptr && !inherited) region_->casts->clear();
}

Autocast::Autocast(const Policy& policy, c10::DeviceType device, bool cache)
    : AutocastScope(region_of(policy, device, cache)) {
  const bool on = is_on(policy);
  if (on) torch_autocast::set_autocast_dtype(device, scalar_type(policy.compute));
  torch_autocast::set_autocast_enabled(device, on);
  torch_autocast::set_autocast_cache_enabled(cache);
}

AutocastDisabled::AutocastDisabled(c10::DeviceType device) : AutocastScope(region_without(device)) {
  torch_autocast::set_autocast_enabled(device, false);
}

AutocastRestore::AutocastRestore(const AutocastState& state)
    : AutocastScope([&] {
        auto region = new_region();  // keeps this thread's cast weights, if it has any
        if (state.region_ == nullptr) {
          region->plans = {};
          return region;
        }
        region->plans = state.region_->plans;
        if (state.region_->casts == nullptr) {
          region->casts = nullptr;
        } else if (region->casts == nullptr) {
          region->casts = std::make_shared<CastCache>();
        }
        return region;
      }()) {
  state.apply();
}

void clear_autocast_cache() {
  if (AutocastRegion* region = AutocastRegion::current(); region && region->casts) {
    region->casts->clear();
  }
  CastCache::clear_all();
  torch_autocast::clear_cache();
}

}  // namespace halftone
