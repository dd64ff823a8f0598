// What the tests of Autocast share.
#pragma once

#include <ATen/autocast_mode.h>
#include <ATen/record_function.h>
#include <torch/torch.h>

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "halftone/precision/policy.h"

namespace halftone {

// CPU, and CUDA where there is one.
inline std::vector<c10::Device> test_devices() {
  std::vector<c10::Device> devices = {c10::Device(c10::kCPU)};
  if (torch::cuda::is_available()) devices.emplace_back(c10::kCUDA, 0);
  return devices;
}

inline Policy half_policy(Format format = Format::fp16) {
  Policy policy;
  policy.name = "test";
  policy.compute = format;
  return policy;
}

inline at::Tensor weight_like(at::IntArrayRef shape, c10::Device device) {
  return torch::randn(shape, device).requires_grad_();
}

// All that LibTorch keeps of autocast for a thread.
struct ThreadState {
  std::array<bool, 2> enabled = {at::autocast::is_autocast_enabled(at::kCPU),
                                 at::autocast::is_autocast_enabled(at::kCUDA)};
  std::array<c10::ScalarType, 2> formats = {at::autocast::get_autocast_dtype(at::kCPU),
                                            at::autocast::get_autocast_dtype(at::kCUDA)};
  bool cache = at::autocast::is_autocast_cache_enabled();
  int nesting = (at::autocast::increment_nesting(), at::autocast::decrement_nesting());

  bool operator==(const ThreadState&) const = default;
};

// Counts conversions to another format on this thread.
class CastCounter {
 public:
  CastCounter() {
    count() = 0;
    handle_ = at::addThreadLocalCallback(
        at::RecordFunctionCallback(&CastCounter::start).scopes({at::RecordScope::FUNCTION}));
  }
  ~CastCounter() { at::removeCallback(handle_); }
  int casts() const { return count(); }

 private:
  static int& count() {
    thread_local int value = 0;
    return value;
  }
  static std::unique_ptr<at::ObserverContext> start(const at::RecordFunction& function) {
    if (std::string(function.name()) == "aten::_to_copy") ++count();
    return nullptr;
  }

  at::CallbackHandle handle_;
};

// Operations that stay in fp32, applied to a positive half matrix.
inline std::vector<std::pair<std::string, at::Tensor>> fp32_operations(const at::Tensor& x) {
  const auto target = torch::zeros_like(x, at::kFloat);
  const auto classes = torch::zeros({x.size(0)}, x.options().dtype(at::kLong));
  return {{"softmax", at::softmax(x, 1)},
          {"log_softmax", at::log_softmax(x, 1)},
          {"log", x.log()},
          {"exp", x.exp()},
          {"sum", x.sum()},
          {"sum.dim", x.sum(1)},
          {"prod", x.prod()},
          {"norm", x.norm()},
          {"norm.dim", x.norm(2, {1})},
          {"linalg_vector_norm", at::linalg_vector_norm(x)},
          {"pow", x.pow(2)},
          {"cumsum", x.cumsum(1)},
          {"cumprod", x.cumprod(1)},
          {"logsumexp", x.logsumexp({1})},
          {"layer_norm", at::layer_norm(x, {x.size(1)})},
          {"group_norm", at::group_norm(x, 2)},
          {"mse_loss", at::mse_loss(x, target)},
          {"l1_loss", at::l1_loss(x, target)},
          {"smooth_l1_loss", at::smooth_l1_loss(x, target)},
          {"cross_entropy", at::cross_entropy_loss(x, classes)},
          {"nll_loss", at::nll_loss(x, classes)},
          {"bce_with_logits", at::binary_cross_entropy_with_logits(x, target)},
          {"kl_div", at::kl_div(x, target)},
          {"cosine_similarity", at::cosine_similarity(x, x)},
          {"cdist", at::cdist(x, x)},
          {"softplus", at::softplus(x)},
          {"rsqrt", x.rsqrt()}};
}

}  // namespace halftone
