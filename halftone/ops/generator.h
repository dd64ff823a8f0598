// LibTorch's default random generators: their state, and a scope that leaves it as it was.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <optional>

#include "halftone/base/export.h"

namespace halftone {

// State of the default generator of a device (CPU: 5056 bytes, interchangeable with Python's
// torch.get_rng_state()). Thread-safe.
HALFTONE_API at::Tensor generator_state(c10::Device device = c10::kCPU);
HALFTONE_API void set_generator_state(const at::Tensor& state, c10::Device device = c10::kCPU);

// 64 random bits for one tensor's draws (kernels/optimizer/rounding.h): one number of the CPU
// generator, so that what it draws next does not depend on the tensor's size. Thread-safe.
HALFTONE_API std::uint64_t next_draw_key(
    const std::optional<at::Generator>& generator = std::nullopt);

// Puts the state back that the generator had when the scope began.
class GeneratorKept {
 public:
  explicit GeneratorKept(c10::Device device = c10::kCPU)
      : device_(device), state_(generator_state(device)) {}
  ~GeneratorKept() { set_generator_state(state_, device_); }
  GeneratorKept(const GeneratorKept&) = delete;
  GeneratorKept& operator=(const GeneratorKept&) = delete;

 private:
  c10::Device device_;
  at::Tensor state_;
};

}  // namespace halftone
