// The generator of tests/goldens/optim.py: exact integer arithmetic, the same numbers in Python.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

namespace halftone {

class Lcg {
 public:
  explicit Lcg(std::uint64_t seed) : state_(seed) {}

  // In [-1, 1), a multiple of 2^-23.
  float value() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<float>(state_ >> 40) * 0x1p-23f - 1;
  }

  at::Tensor tensor(at::IntArrayRef shape) {
    at::Tensor result = at::empty(shape, at::kFloat);
    float* data = result.mutable_data_ptr<float>();
    for (std::int64_t i = 0; i < result.numel(); ++i) data[i] = value();
    return result;
  }

  // Away from 0: sign * (1 + |value|).
  at::Tensor weight(at::IntArrayRef shape) {
    const at::Tensor v = tensor(shape);
    return at::where(v < 0, v - 1, v + 1);
  }

 private:
  std::uint64_t state_;
};

inline const std::vector<std::vector<std::int64_t>>& golden_shapes() {
  static const std::vector<std::vector<std::int64_t>> shapes = {{3, 5}, {7}, {2, 3, 2}};
  return shapes;
}

inline std::vector<at::Tensor> golden_weights(Lcg& random, c10::ScalarType type = at::kFloat) {
  std::vector<at::Tensor> weights;
  for (const auto& shape : golden_shapes()) {
    weights.push_back(random.weight(shape).to(type).requires_grad_());
  }
  return weights;
}

// New gradients for all weights, in `type` (by default the weight's).
inline void set_gradients(Lcg& random, const std::vector<at::Tensor>& weights,
                          std::optional<c10::ScalarType> type = std::nullopt) {
  for (const at::Tensor& each : weights) {
    each.mutable_grad() = random.tensor(each.sizes()).to(type.value_or(each.scalar_type()));
  }
}

}  // namespace halftone
