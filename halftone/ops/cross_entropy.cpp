#include "halftone/ops/cross_entropy.h"

#include <ATen/ATen.h>
#include <ATen/TensorSubclassLikeUtils.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>
#include <numeric>
#include <tuple>

#include "halftone/kernels/cross_entropy/cross_entropy.h"
#include "halftone/ops/overrides/conv2d.h"
#include "halftone/ops/overrides/half_tensor.h"
#include "halftone/ops/overrides/override.h"

namespace halftone::ops {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// (..., C): the logits with the classes last and dense, copied where they are not.
Tensor classes_last(const Tensor& input) {
  if (input.dim() == 4) return channels_last(input).permute({0, 2, 3, 1});
  return (input.dim() > 1 ? input.movedim(1, -1) : input).contiguous();
}

std::int64_t class_count(const Tensor& input) { return input.size(input.dim() > 1 ? 1 : 0); }

bool target_shape_fits(const Tensor& input, const Tensor& target) {
  at::DimVector expected(input.sizes());
  expected.erase(expected.begin() + (input.dim() > 1 ? 1 : 0));
  return target.sizes() == expected;
}

bool targets_in_range(const Tensor& target, std::int64_t classes, std::int64_t ignore_index) {
  const Tensor dense = target.contiguous();
  const auto* begin = dense.const_data_ptr<std::int64_t>();
  return std::all_of(begin, begin + dense.numel(), [&](std::int64_t each) {
    return (each >= 0 && each < classes) || each == ignore_index;
  });
}

double judged(const Tensor& target, std::int64_t ignore_index) {
  const auto* begin = target.const_data_ptr<std::int64_t>();
  return static_cast<double>(target.numel() -
                             std::count(begin, begin + target.numel(), ignore_index));
}

// The sum over the losses in fp64, divided. 0 / 0, where all targets are ignored, is NaN.
Tensor reduced(const Tensor& losses, double divisor) {
  const auto* begin = losses.const_data_ptr<float>();
  const Tensor result = at::empty({}, losses.options());
  *result.mutable_data_ptr<float>() =
      static_cast<float>(std::accumulate(begin, begin + losses.numel(), 0.0) / divisor);
  return result;
}

// As operations of their own, so that what watches operations sees them.
//
// -> the loss of each target, fp32, and (2, targets) of fp32: max and ln s of each row.
std::tuple<Tensor, Tensor> cross_entropy_rows(const Tensor& input, const Tensor& target,
                                              std::int64_t ignore_index, double smoothing) {
  const Tensor x = classes_last(input), t = target.contiguous();
  const Tensor loss = at::empty(t.sizes(), input.options().dtype(at::kFloat));
  const Tensor statistics = at::empty({2, t.numel()}, loss.options());
  float* max = statistics.mutable_data_ptr<float>();
  kernels::cross_entropy({half_format(input), t.numel(), class_count(input), half_data(x),
                          t.const_data_ptr<std::int64_t>(), ignore_index,
                          static_cast<float>(smoothing), loss.mutable_data_ptr<float>(), max,
                          max + t.numel()});
  return {loss, statistics};
}

// grad: one per target. -> the gradient of input.
Tensor cross_entropy_rows_backward(const Tensor& grad, const Tensor& input, const Tensor& target,
                                   const Tensor& statistics, std::int64_t ignore_index,
                                   double smoothing) {
  const Tensor x = classes_last(input), t = target.contiguous(), g = grad.contiguous();
  const Tensor result = at::empty(x.sizes(), x.options());
  const float* max = statistics.const_data_ptr<float>();
  kernels::cross_entropy_backward({half_format(input), t.numel(), class_count(input), half_data(x),
                                   t.const_data_ptr<std::int64_t>(), ignore_index,
                                   static_cast<float>(smoothing), max, max + t.numel(),
                                   g.const_data_ptr<float>(), mutable_half_data(result)});
  if (input.dim() == 1) return result;
  const Tensor in_place = result.movedim(-1, 1);
  return input.dim() == 4 ? in_memory_format(in_place, input.suggest_memory_format())
                          : in_place.contiguous();
}

template <class Function>
c10::TypedOperatorHandle<Function> operation_called(const char* name, Function*) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Function>();
}

TORCH_LIBRARY_FRAGMENT(halftone, m) {
  m.def(
      "cross_entropy(Tensor input, Tensor target, int ignore_index, float smoothing) "
      "-> (Tensor losses, Tensor statistics)");
  m.def(
      "cross_entropy_backward(Tensor grad, Tensor input, Tensor target, Tensor statistics, "
      "int ignore_index, float smoothing) -> Tensor");
}

TORCH_LIBRARY_IMPL(halftone, CPU, m) {
  m.impl("cross_entropy", &cross_entropy_rows);
  m.impl("cross_entropy_backward", &cross_entropy_rows_backward);
}

struct FusedCrossEntropy : torch::autograd::Function<FusedCrossEntropy> {
  static Tensor forward(AutogradContext* ctx, const Tensor& input, const Tensor& target,
                        std::int64_t reduction, std::int64_t ignore_index, double smoothing) {
    static const auto call = operation_called("halftone::cross_entropy", &cross_entropy_rows);
    const Tensor t = target.contiguous();
    const auto [loss, statistics] = call.call(input, t, ignore_index, smoothing);
    ctx->save_for_backward({input, t, statistics});
    const double divisor = reduction == at::Reduction::Mean ? judged(t, ignore_index) : 1;
    ctx->saved_data["divisor"] = divisor;
    ctx->saved_data["ignore_index"] = ignore_index;
    ctx->saved_data["smoothing"] = smoothing;
    return reduction == at::Reduction::None ? loss : reduced(loss, divisor);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
    const variable_list saved = ctx->get_saved_variables();
    const std::int64_t ignore_index = ctx->saved_data["ignore_index"].toInt();
    const double smoothing = ctx->saved_data["smoothing"].toDouble();
    if (!gradients[0].defined()) return variable_list(5);
    const double divisor = ctx->saved_data["divisor"].toDouble();
    const Tensor per_target = (gradients[0] / divisor).expand(saved[1].sizes());
    const auto gradient = at::GradMode::is_enabled() ? differentiable_gradient : fused_gradient;
    return {gradient(saved, per_target, ignore_index, smoothing), {}, {}, {}, {}};
  }

  static Tensor fused_gradient(const variable_list& saved, const Tensor& grad_loss,
                               std::int64_t ignore_index, double smoothing) {
    static const auto call =
        operation_called("halftone::cross_entropy_backward", &cross_entropy_rows_backward);
    return call.call(grad_loss, saved[0], saved[1], saved[2], ignore_index, smoothing);
  }

  // The same of LibTorch's operations, for a graph through it.
  static Tensor differentiable_gradient(const variable_list& saved, const Tensor& grad_loss,
                                        std::int64_t ignore_index, double smoothing) {
    const std::int64_t dim = saved[0].dim() > 1 ? 1 : 0, classes = class_count(saved[0]);
    const Tensor kept = (saved[1] != ignore_index).unsqueeze(dim);
    const Tensor target = saved[1].unsqueeze(dim).where(kept, 0);
    const Tensor p = at::softmax(saved[0], dim, at::kFloat);
    const Tensor wanted =
        at::full_like(p, smoothing / static_cast<double>(classes))
            .scatter_add(dim, target, at::full_like(target, 1 - smoothing, at::kFloat));
    return ((p - wanted) * grad_loss.unsqueeze(dim)).where(kept, 0).to(saved[0].scalar_type());
  }
};

// In the logits' format, as LibTorch gives it.
Tensor cross_entropy_loss(const Tensor& self, const Tensor& target,
                          const std::optional<Tensor>& weight, std::int64_t reduction,
                          c10::SymInt ignore_index, double label_smoothing) {
  const auto ignored = ignore_index.maybe_as_int();
  if (!ignored || (weight && weight->defined())) {
    return at::native::cross_entropy_loss_symint(self, target, weight, reduction,
                                                 std::move(ignore_index), label_smoothing);
  }
  const CrossEntropyCall call{self, target, reduction, *ignored, label_smoothing};
  if (!half_cross_entropy_fits(call)) {
    return at::native::cross_entropy_loss_symint(self, target, weight, reduction,
                                                 std::move(ignore_index), label_smoothing);
  }
  return half_cross_entropy(call).to(self.scalar_type());
}

constexpr const char* kName = "cross_entropy";

void install_cross_entropy(torch::Library& library) {
  library.impl("cross_entropy_loss", cross_entropy_loss);
}

// LibTorch composes the operation of others: above them is the one place to take it as a whole.
const OverrideRegistration kCrossEntropy{
    {kName, install_cross_entropy, c10::DispatchKey::AutogradCPU}};

}  // namespace

bool half_cross_entropy_fits(const CrossEntropyCall& call) {
  const Tensor &input = call.input, &target = call.target;
  return input.defined() && target.defined() && input.device().is_cpu() &&
         target.device().is_cpu() && !at::areAnyTensorSubclassLike({input, target}) &&
         input.layout() == at::kStrided && is_half(input) && !input._fw_grad(0).defined() &&
         input.dim() > 0 && target.scalar_type() == at::kLong && target_shape_fits(input, target) &&
         call.reduction >= at::Reduction::None && call.reduction <= at::Reduction::Sum &&
         call.label_smoothing >= 0 && call.label_smoothing <= 1 &&
         targets_in_range(target, class_count(input), call.ignore_index);
}

Tensor half_cross_entropy(const CrossEntropyCall& call) {
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  return FusedCrossEntropy::apply(call.input, call.target, call.reduction, call.ignore_index,
                                  call.label_smoothing);
}

bool half_cross_entropy_enabled() { return is_installed(kName); }

}  // namespace halftone::ops
