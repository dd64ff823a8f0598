#include "halftone/ops/allocator_layers.h"

#include <c10/core/CPUAllocator.h>

#include <array>
#include <atomic>
#include <mutex>

namespace halftone::memory {
namespace {

std::array<std::atomic<c10::Allocator*>, 2> layers;
c10::Allocator* beneath = nullptr;  // what was set before the first layer
std::mutex layer_mutex;

std::atomic<c10::Allocator*>& slot(Layer layer) { return layers[static_cast<std::size_t>(layer)]; }

}  // namespace

bool set_layer(Layer layer, c10::Allocator* allocator) {
  const std::lock_guard<std::mutex> lock(layer_mutex);
  if (slot(layer).exchange(allocator) == allocator) return false;
  c10::Allocator* top = slot(Layer::counting).load();
  if (!top) top = slot(Layer::caching).load();
  if (!beneath) beneath = c10::GetCPUAllocator();
  c10::SetCPUAllocator(top ? top : beneath);
  if (!top) beneath = nullptr;
  return true;
}

bool layer_is_in(Layer layer) { return slot(layer).load(std::memory_order_relaxed) != nullptr; }

c10::Allocator& below_counting() {
  c10::Allocator* caching = slot(Layer::caching).load(std::memory_order_relaxed);
  return caching ? *caching : *c10::GetDefaultCPUAllocator();
}

}  // namespace halftone::memory
