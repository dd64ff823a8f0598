// Halftone's allocators lie over LibTorch's own CPU allocator, the counting one on top of the
// caching one. Each can be put in and taken out at any time: all their blocks are blocks of the C
// library, so that whichever is in force may free what another allocated (oneDNN frees its
// scratchpads by the allocator that is set then).
#pragma once

#include <c10/core/Allocator.h>

namespace halftone::memory {

enum class Layer { caching, counting };

// Puts a layer in; null takes it out. Returns whether that changed anything.
bool set_layer(Layer layer, c10::Allocator* allocator);
bool layer_is_in(Layer layer);

// What the counting layer stands on: the caching one, or LibTorch's own.
c10::Allocator& below_counting();

}  // namespace halftone::memory
