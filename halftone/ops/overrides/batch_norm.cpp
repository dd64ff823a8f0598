#include <ATen/core/Tensor.h>
#include <ATen/ops/_batch_norm_with_update_cpu_dispatch.h>
#include <ATen/ops/_native_batch_norm_legit_cpu_dispatch.h>
#include <ATen/ops/batch_norm_backward_cpu_dispatch.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/native_batch_norm_backward_cpu_dispatch.h>
#include <ATen/ops/native_batch_norm_cpu_dispatch.h>

#include <array>
#include <tuple>

#include "halftone/ops/batch_norm_ops.h"
#include "halftone/ops/overrides/norm_tensors.h"
#include "halftone/ops/overrides/override.h"
#include "halftone/ops/overrides/own_or_stock.h"

namespace halftone::ops {
namespace {

using ThreeTensors = std::tuple<at::Tensor, at::Tensor, at::Tensor>;
using ThreeOutputs = std::tuple<at::Tensor&, at::Tensor&, at::Tensor&>;

ThreeTensors batch_norm_outputs(const BatchNormForward& call, at::ScalarType parameters) {
  const auto options = call.input.options().dtype(parameters);
  const std::int64_t length = call.training ? call.input.size(1) : 0;
  return {at::empty_like(call.input, call.input.suggest_memory_format()),
          at::empty({length}, options), at::empty({length}, options)};
}

// stock: LibTorch's own kernel for the same call.
template <class Stock>
ThreeTensors batch_norm_or(const BatchNormForward& call, Stock&& stock) {
  const auto parameters = batch_norm_takes(call);
  if (!parameters) return stock();
  const auto own = [&] {
    ThreeTensors results = batch_norm_outputs(call, *parameters);
    batch_norm_forward(call, *parameters, std::get<0>(results), std::get<1>(results),
                       std::get<2>(results));
    return results;
  };
  return own_or_stock("batch_norm", own, stock);
}

// An output that need not be resized and shares no memory with the input.
bool fits_output(const at::Tensor& out, const at::Tensor& like) {
  return out.defined() && out.device().is_cpu() && out.layout() == at::kStrided &&
         out.scalar_type() == like.scalar_type() && out.sizes() == like.sizes() &&
         out.strides() == like.strides() && out.is_non_overlapping_and_dense();
}

template <class Stock>
ThreeOutputs batch_norm_into_or(const BatchNormForward& call, at::Tensor& out, at::Tensor& mean,
                                at::Tensor& invstd, Stock&& stock) {
  const auto parameters = batch_norm_takes(call);
  if (!parameters || out.is_alias_of(call.input)) return stock();
  const auto [like, like_mean, like_invstd] = batch_norm_outputs(call, *parameters);
  if (!fits_output(out, like) || !fits_output(mean, like_mean) ||
      !fits_output(invstd, like_invstd)) {
    return stock();
  }
  const auto own = [&]() -> ThreeOutputs {
    batch_norm_forward(call, *parameters, out, mean, invstd);
    return {out, mean, invstd};
  };
  return own_or_stock("batch_norm", own, stock);
}

ThreeTensors native_batch_norm(const at::Tensor& input, const OptionalTensor& weight,
                               const OptionalTensor& bias, const OptionalTensor& running_mean,
                               const OptionalTensor& running_var, bool training, double momentum,
                               double eps) {
  return batch_norm_or({input, weight, bias, running_mean, running_var, training, momentum, eps},
                       [&] {
                         return at::cpu::native_batch_norm(input, weight, bias, running_mean,
                                                           running_var, training, momentum, eps);
                       });
}

ThreeOutputs native_batch_norm_out(const at::Tensor& input, const OptionalTensor& weight,
                                   const OptionalTensor& bias, const OptionalTensor& running_mean,
                                   const OptionalTensor& running_var, bool training,
                                   double momentum, double eps, at::Tensor& out, at::Tensor& mean,
                                   at::Tensor& invstd) {
  return batch_norm_into_or(
      {input, weight, bias, running_mean, running_var, training, momentum, eps}, out, mean, invstd,
      [&] {
        return at::cpu::native_batch_norm_outf(input, weight, bias, running_mean, running_var,
                                               training, momentum, eps, out, mean, invstd);
      });
}

ThreeTensors batch_norm_legit(const at::Tensor& input, const OptionalTensor& weight,
                              const OptionalTensor& bias, at::Tensor& running_mean,
                              at::Tensor& running_var, bool training, double momentum, double eps) {
  const OptionalTensor mean(running_mean), var(running_var);
  return batch_norm_or({input, weight, bias, mean, var, training, momentum, eps}, [&] {
    return at::cpu::_native_batch_norm_legit(input, weight, bias, running_mean, running_var,
                                             training, momentum, eps);
  });
}

ThreeTensors batch_norm_legit_no_stats(const at::Tensor& input, const OptionalTensor& weight,
                                       const OptionalTensor& bias, bool training, double momentum,
                                       double eps) {
  const OptionalTensor none;
  return batch_norm_or({input, weight, bias, none, none, training, momentum, eps}, [&] {
    return at::cpu::_native_batch_norm_legit(input, weight, bias, training, momentum, eps);
  });
}

ThreeOutputs batch_norm_legit_out(const at::Tensor& input, const OptionalTensor& weight,
                                  const OptionalTensor& bias, at::Tensor& running_mean,
                                  at::Tensor& running_var, bool training, double momentum,
                                  double eps, at::Tensor& out, at::Tensor& mean,
                                  at::Tensor& invstd) {
  const OptionalTensor stored_mean(running_mean), stored_var(running_var);
  return batch_norm_into_or({input, weight, bias, stored_mean, stored_var, training, momentum, eps},
                            out, mean, invstd, [&] {
                              return at::cpu::_native_batch_norm_legit_outf(
                                  input, weight, bias, running_mean, running_var, training,
                                  momentum, eps, out, mean, invstd);
                            });
}

ThreeOutputs batch_norm_legit_no_stats_out(const at::Tensor& input, const OptionalTensor& weight,
                                           const OptionalTensor& bias, bool training,
                                           double momentum, double eps, at::Tensor& out,
                                           at::Tensor& mean, at::Tensor& invstd) {
  const OptionalTensor none;
  return batch_norm_into_or({input, weight, bias, none, none, training, momentum, eps}, out, mean,
                            invstd, [&] {
                              return at::cpu::_native_batch_norm_legit_outf(
                                  input, weight, bias, training, momentum, eps, out, mean, invstd);
                            });
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> batch_norm_with_update(
    const at::Tensor& input, const OptionalTensor& weight, const OptionalTensor& bias,
    at::Tensor& running_mean, at::Tensor& running_var, double momentum, double eps) {
  const OptionalTensor stored_mean(running_mean), stored_var(running_var);
  const BatchNormForward call{input, weight, bias, stored_mean, stored_var, true, momentum, eps};
  at::Tensor reserve;
  auto [out, mean, invstd] = batch_norm_or(call, [&]() -> ThreeTensors {
    auto found = at::cpu::_batch_norm_with_update(input, weight, bias, running_mean, running_var,
                                                  momentum, eps);
    reserve = std::get<3>(found);
    return {std::get<0>(found), std::get<1>(found), std::get<2>(found)};
  });
  if (!reserve.defined()) reserve = at::empty({0}, input.options().dtype(at::kByte));
  return {out, mean, invstd, reserve};
}

template <class Stock>
ThreeTensors batch_norm_backward_or(const at::Tensor& grad_out, const at::Tensor& input,
                                    const OptionalTensor& weight,
                                    const OptionalTensor& running_mean,
                                    const OptionalTensor& running_var,
                                    const OptionalTensor& save_mean,
                                    const OptionalTensor& save_invstd, bool train, double eps,
                                    const std::array<bool, 3>& wanted, Stock&& stock) {
  if (!is_half(input) || !is_half(grad_out) || input.dim() < 2 ||
      grad_out.scalar_type() != input.scalar_type() || grad_out.sizes() != input.sizes() ||
      (wanted[1] && !is_defined(weight)) || !is_defined(train ? save_mean : running_mean) ||
      !is_defined(train ? save_invstd : running_var)) {
    return stock();
  }
  const OptionalTensor none;  // in evaluation the saved ones are empty
  const auto parameters =
      parameter_type(input.scalar_type(), input.size(1),
                     {&weight, &running_mean, &running_var, train ? &save_mean : &none,
                      train ? &save_invstd : &none});
  if (parameters == kNoType) return stock();
  BatchNormBackward call{grad_out,  input,       weight, running_mean, running_var,
                         save_mean, save_invstd, train,  eps};
  const auto options = input.options().dtype(parameters);
  BatchNormGradients found;
  if (wanted[0]) found.input = at::empty_like(input, input.suggest_memory_format());
  if (wanted[1]) found.weight = at::empty({input.size(1)}, options);
  if (wanted[2]) found.bias = at::empty({input.size(1)}, options);
  const auto own = [&]() -> ThreeTensors {
    batch_norm_backward(call, parameters, found);
    return {found.input, found.weight, found.bias};
  };
  return own_or_stock("batch_norm", own, stock);
}

ThreeTensors native_batch_norm_backward(const at::Tensor& grad_out, const at::Tensor& input,
                                        const OptionalTensor& weight,
                                        const OptionalTensor& running_mean,
                                        const OptionalTensor& running_var,
                                        const OptionalTensor& save_mean,
                                        const OptionalTensor& save_invstd, bool train, double eps,
                                        std::array<bool, 3> wanted) {
  return batch_norm_backward_or(grad_out, input, weight, running_mean, running_var, save_mean,
                                save_invstd, train, eps, wanted, [&] {
                                  return at::cpu::native_batch_norm_backward(
                                      grad_out, input, weight, running_mean, running_var, save_mean,
                                      save_invstd, train, eps, wanted);
                                });
}

ThreeTensors batch_norm_backward(const at::Tensor& grad_out, const at::Tensor& input,
                                 const at::Tensor& weight, const OptionalTensor& running_mean,
                                 const OptionalTensor& running_var, const OptionalTensor& save_mean,
                                 const OptionalTensor& save_invstd, bool update, double eps,
                                 std::array<bool, 3> wanted, const at::Tensor& reserve) {
  return batch_norm_backward_or(grad_out, input, OptionalTensor(weight), running_mean, running_var,
                                save_mean, save_invstd, update, eps, wanted, [&] {
                                  return at::cpu::batch_norm_backward(
                                      grad_out, input, weight, running_mean, running_var, save_mean,
                                      save_invstd, update, eps, wanted, reserve);
                                });
}

void install_batch_norm(torch::Library& library) {
  library.impl("native_batch_norm", native_batch_norm);
  library.impl("native_batch_norm.out", native_batch_norm_out);
  library.impl("_native_batch_norm_legit", batch_norm_legit);
  library.impl("_native_batch_norm_legit.no_stats", batch_norm_legit_no_stats);
  library.impl("_native_batch_norm_legit.out", batch_norm_legit_out);
  library.impl("_native_batch_norm_legit.no_stats_out", batch_norm_legit_no_stats_out);
  library.impl("_batch_norm_with_update", batch_norm_with_update);
  library.impl("native_batch_norm_backward", native_batch_norm_backward);
  library.impl("batch_norm_backward", batch_norm_backward);
}

const OverrideRegistration kBatchNormOverride{{"batch_norm", install_batch_norm}};

}  // namespace
}  // namespace halftone::ops
