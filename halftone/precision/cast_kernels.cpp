#include "halftone/precision/cast_kernels.h"

#include <ATen/autocast_mode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/library.h>

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "halftone/ops/cross_entropy.h"
#include "halftone/ops/torch_compat.h"
#include "halftone/precision/autocast_region.h"
#include "halftone/precision/cast_table.h"
#include "halftone/precision/layer_scales.h"

namespace halftone {
namespace {

using torch::jit::Stack;

c10::DispatchKey key_of(std::size_t device) {
  return at::autocast::get_autocast_dispatch_key_from_device_type(kAutocastDevices[device]);
}

// Calls f(tensor) for every defined tensor among the values, also those in lists.
template <class F>
void for_each_tensor(c10::ArrayRef<c10::IValue> values, F&& f) {
  for (const c10::IValue& value : values) {
    if (value.isTensor()) {
      if (value.toTensor().defined()) f(value.toTensor());
    } else if (value.isTensorList()) {
      for (const at::Tensor& tensor : value.toTensorVector()) f(tensor);
    }
  }
}

// Replaces the tensors among the values by f(tensor). Lists are the caller's, so they are copied.
template <class F>
void replace_tensors(c10::IValue* begin, c10::IValue* end, F&& f) {
  for (c10::IValue* value = begin; value != end; ++value) {
    if (value->isTensor()) {
      const at::Tensor& tensor = value->toTensor();
      at::Tensor replaced = f(tensor);
      if (!replaced.is_same(tensor)) *value = std::move(replaced);
    } else if (value->isTensorList()) {
      std::vector<at::Tensor> tensors = value->toTensorVector();
      for (at::Tensor& tensor : tensors) tensor = f(tensor);
      *value = std::move(tensors);
    }
  }
}

class CastKernel final : public c10::OperatorKernel {
 public:
  CastKernel(std::size_t row, std::size_t device, const c10::OperatorHandle& operation)
      : row_(row),
        cast_(cast_table()[row].cast),
        product_(product_of(operation_name(cast_table()[row]))),
        device_(device),
        arguments_(operation.schema().arguments().size()),
        has_statistics_(operation.schema().argumentIndexWithName("running_mean").has_value()),
        one_result_(operation.schema().returns().size() == 1 &&
                    operation.schema().returns()[0].type()->kind() == c10::TypeKind::TensorType),
        dtype_(operation.schema().argumentIndexWithName("dtype")) {
    if (operation.hasKernelForDispatchKey(key_of(device))) {
      stock_.emplace(operation.getComputedKernelForDispatchKey(key_of(device)));
    }
  }

  void operator()(const c10::OperatorHandle& operation, c10::DispatchKeySet keys,
                  Stack* stack) const {
    const AutocastRegion* region = AutocastRegion::current();
    const CastPlan* plan = region == nullptr ? nullptr : region->plans[device_].get();
    if (cast_ == Cast::fp32_loss && (plan == nullptr || !exception_of(*plan, *stack)) &&
        serve_loss(*stack)) {
      return;
    }
    if (plan == nullptr && stock_) {
      stock_->callBoxed(operation, keys, stack);
      return;
    }
    const c10::DispatchKeySet below =
        keys & c10::DispatchKeySet(c10::DispatchKeySet::FULL_AFTER, key_of(device_));
    const std::optional<c10::ScalarType> exception =
        plan == nullptr ? std::nullopt : exception_of(*plan, *stack);
    if (plan == nullptr || (cast_ == Cast::as_is && !exception)) {
      operation.redispatchBoxed(below, stack);  // operations inside still see autocast
      return;
    }
    if (!exception && plan->layer_scales() && cast_ == Cast::lower && one_result_) {
      return scale_by_itself(operation, below, stack);
    }
    std::shared_ptr<EmulatedLayer> layer;  // by the weight, which a cast would hide
    if (exception) {
      cast_arguments(*region, *exception, *stack);
    } else {
      if (product_ && plan->emulation() != nullptr) {
        layer = plan->emulation()->layer(*product_, arguments(*stack));
      }
      apply_table(*region, *stack);
    }
    const c10::impl::ExcludeDispatchKeyGuard no_autocast(key_of(device_));
    if (layer) {
      return emulate(*plan->emulation(), std::move(layer), operation, below, stack);
    }
    operation.redispatchBoxed(below, stack);
  }

 private:
  void scale_by_itself(const c10::OperatorHandle& operation, c10::DispatchKeySet below,
                       Stack* stack) const {
    const c10::impl::ExcludeDispatchKeyGuard no_autocast(key_of(device_));
    const LayerScale scale(at::autocast::get_autocast_dtype(kAutocastDevices[device_]));
    c10::IValue* begin = stack->data() + stack->size() - arguments_;
    replace_tensors(begin, begin + arguments_, [&](const at::Tensor& tensor) {
      return is_eligible(tensor) ? scale.enter(tensor) : tensor;
    });
    operation.redispatchBoxed(below, stack);
    stack->back() = scale.leave(stack->back().toTensor());
  }

  void emulate(const Emulation& emulation, std::shared_ptr<EmulatedLayer> layer,
               const c10::OperatorHandle& operation, c10::DispatchKeySet below,
               Stack* stack) const {
    emulation.round_factors(*product_, *layer, stack->data() + stack->size() - arguments_);
    operation.redispatchBoxed(below, stack);
    emulation.round_gradient_of(*product_, std::move(layer), stack->back().toTensor());
  }

  // cross_entropy_loss(input, target, weight, reduction, ignore_index, label_smoothing), whose fp32
  // result needs no fp32 copy of the logits.
  bool serve_loss(Stack& stack) const {
    const auto values = arguments(stack);
    // torch::nn::functional::cross_entropy gives an undefined tensor where there are no weights.
    const bool weighted = values[2].isTensor() && values[2].toTensor().defined();
    if (!values[0].isTensor() || !values[1].isTensor() || weighted || !values[4].isInt() ||
        !ops::half_cross_entropy_enabled()) {
      return false;
    }
    const ops::CrossEntropyCall call{values[0].toTensor(), values[1].toTensor(), values[3].toInt(),
                                     values[4].toInt(), values[5].toDouble()};
    if (!ops::half_cross_entropy_fits(call)) return false;
    at::Tensor loss = ops::half_cross_entropy(call);
    torch::jit::drop(stack, arguments_);
    torch::jit::push(stack, std::move(loss));
    return true;
  }

  bool is_eligible(const at::Tensor& tensor) const {
    return at::autocast::is_eligible(tensor, kAutocastDevices[device_]);
  }

  c10::ArrayRef<c10::IValue> arguments(const Stack& stack) const {
    return torch::jit::last(stack, arguments_);
  }

  // The format of the policy's rule for this call: by module, else by operation.
  std::optional<c10::ScalarType> exception_of(const CastPlan& plan, const Stack& stack) const {
    if (plan.has_module_rules()) {
      int rule = -1;
      for_each_tensor(arguments(stack), [&](const at::Tensor& tensor) {
        if (is_eligible(tensor)) rule = std::max(rule, plan.module_rule(tensor));
      });
      if (rule >= 0) return plan.module_format(rule);
    }
    return plan.operation_format(row_);
  }

  void apply_table(const AutocastRegion& region, Stack& stack) const {
    switch (cast_) {
      case Cast::lower:
        // LibTorch's own value: a raw call inside the region may have changed it.
        return cast_arguments(region, at::autocast::get_autocast_dtype(kAutocastDevices[device_]),
                              stack);
      case Cast::fp32:
      case Cast::fp32_loss:
        return cast_arguments(region, at::kFloat, stack);
      case Cast::fp32_dtype:
        return ask_for_fp32(stack);
      case Cast::widest:
        if (const auto widest = widest_of(stack)) cast_arguments(region, *widest, stack);
        return;
      case Cast::as_is:
      case Cast::stock:
        return;
    }
  }

  void cast_arguments(const AutocastRegion& region, c10::ScalarType format, Stack& stack) const {
    c10::IValue* begin = stack.data() + stack.size() - arguments_;
    CastCache* casts = at::autocast::is_autocast_cache_enabled() ? region.casts.get() : nullptr;
    replace_tensors(begin, begin + cast_count(format), [&](const at::Tensor& tensor) {
      if (!is_eligible(tensor) || tensor.scalar_type() == format) return tensor;
      return casts == nullptr ? tensor.to(format) : casts->cast(tensor, format);
    });
  }

  // batch_norm(input, weight, bias, running_mean, running_var, …) writes to its running statistics,
  // which a cast copy would lose, and takes half input with fp32 parameters.
  std::size_t cast_count(c10::ScalarType format) const {
    if (!has_statistics_) return arguments_;
    return format == at::kFloat ? 3 : 1;
  }

  // The reduction then reads half and sums in fp32, with no copy of its input.
  void ask_for_fp32(Stack& stack) const {
    c10::IValue* values = stack.data() + stack.size() - arguments_;
    if (dtype_ && values[*dtype_].isNone() && values[0].isTensor() &&
        is_eligible(values[0].toTensor())) {
      values[*dtype_] = static_cast<std::int64_t>(at::kFloat);
    }
  }

  std::optional<c10::ScalarType> widest_of(const Stack& stack) const {
    std::optional<c10::ScalarType> widest;
    for_each_tensor(arguments(stack), [&](const at::Tensor& tensor) {
      if (!is_eligible(tensor)) return;
      widest = widest ? c10::promoteTypes(*widest, tensor.scalar_type()) : tensor.scalar_type();
    });
    return widest;
  }

  std::size_t row_;
  Cast cast_;
  std::optional<Product> product_;
  std::size_t device_;
  std::size_t arguments_;
  bool has_statistics_, one_result_;
  std::optional<int> dtype_;
  std::optional<compat::StockKernel> stock_;
};

// LibTorch warns, once per process, of a kernel that replaces another: here that is the purpose.
class Silence final : public c10::WarningHandler {
  void process(const c10::Warning&) override {}
};

class Installer {
 public:
  void install(const CastPlan& plan) {
    install_rows([&](std::size_t row, Cast cast) {
      return cast != Cast::stock && (cast != Cast::as_is || reaches(plan, row));
    });
  }
  void install_losses() {
    install_rows([](std::size_t, Cast cast) { return cast == Cast::fp32_loss; });
  }

 private:
  template <class Wanted>
  void install_rows(Wanted wanted) {
    const std::lock_guard lock(mutex_);
    const auto& table = cast_table();
    done_.resize(table.size());
    Silence silence;
    const c10::WarningUtils::WarningHandlerGuard guard(&silence);
    for (std::size_t row = 0; row < table.size(); ++row) {
      if (done_[row] || !wanted(row, table[row].cast)) continue;
      if (table[row].devices != CastDevices::cuda) install_row(row, 0);
      if (table[row].devices != CastDevices::cpu) install_row(row, 1);
      done_[row] = true;
    }
  }

  // A row that is not cast by itself: a rule names it, or a module rule may name its weight.
  static bool reaches(const CastPlan& plan, std::size_t row) {
    if (plan.operation_format(row)) return true;
    const auto operation = find_operation(cast_table()[row]);
    return plan.has_module_rules() && operation &&
           operation->schema().argumentIndexWithName("weight").has_value();
  }

  static std::optional<c10::OperatorHandle> find_operation(const CastRow& row) {
    const auto dot = row.operation.find('.');
    const std::string overload = dot == std::string::npos ? "" : row.operation.substr(dot + 1);
    return c10::Dispatcher::singleton().findSchema({"aten::" + operation_name(row), overload});
  }

  void install_row(std::size_t row, std::size_t device) {
    const auto operation = find_operation(cast_table()[row]);
    if (!operation) return;
    auto& library = libraries_[device];
    if (!library) {
      library = std::make_unique<torch::Library>(torch::Library::IMPL, "aten", key_of(device),
                                                 __FILE__, __LINE__);
    }
    library->impl(cast_table()[row].operation.c_str(),
                  torch::CppFunction::makeFromBoxedFunctor(
                      std::make_unique<CastKernel>(row, device, *operation)));
  }

  std::mutex mutex_;
  std::vector<bool> done_;
  std::array<std::unique_ptr<torch::Library>, 2> libraries_;
};

Installer& installer() {
  static auto* value = new Installer;  // never taken out: threads may be inside a wrapper
  return *value;
}

}  // namespace

void install_cast_kernels(const CastPlan& plan) { installer().install(plan); }

void install_loss_kernels() { installer().install_losses(); }

}  // namespace halftone
