// The outputs of a depthwise convolution with a multiplier, plane by plane: [multiplier][batch][h]
// [w][channels] in a workspace, where memory has [batch][h][w][channels][multiplier].
#pragma once

#include "halftone/kernels/product/buffers.h"
#include "halftone/kernels/transpose/transpose.h"

namespace halftone::kernels {

// Of a multiplier of 1 the memory itself. One at a time per thread.
template <class T>  // std::uint16_t, written, or const std::uint16_t, read
class DepthwisePlanes {
 public:
  DepthwisePlanes(const Conv2dArgs& args, T* memory)
      : memory_(memory),
        data_(memory),
        pixels_(args.shape.batch * args.shape.output.h * args.shape.output.w * args.shape.channels),
        count_(args.shape.filters / args.shape.channels) {
    if (count_ <= 1 || pixels_ <= 0) return;
    auto* copy = task_buffer<std::uint16_t>(WorkspaceSlot::layout, pixels_ * count_);
    data_ = copy;
    if constexpr (std::is_const_v<T>) transpose_halves({1, pixels_, count_, memory, copy});
  }

  T* data() const { return data_; }

  void write_back() const {
    if (data_ != memory_) transpose_halves({1, count_, pixels_, data_, memory_});
  }

 private:
  T* memory_;
  T* data_;
  std::int64_t pixels_, count_;
};

}  // namespace halftone::kernels
