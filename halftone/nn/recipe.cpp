#include "halftone/nn/recipe.h"

#include <ATen/FuncTorchTLS.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/gelu.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/csrc/autograd/generated/Functions.h>
#include <torch/csrc/autograd/saved_variable_hooks.h>

#include <limits>
#include <memory>
#include <utility>

#include "halftone/nn/batch_norm_function.h"
#include "halftone/nn/layer_norm_function.h"
#include "halftone/ops/torch_compat.h"

namespace halftone::nn {
namespace {

namespace nodes = torch::autograd::generated;
using torch::autograd::SavedVariable;

std::optional<Recipe> gelu_recipe(nodes::GeluBackward0& node) {
  const auto z = node.self_.get_raw_data();
  if (!z || !z->defined()) return std::nullopt;
  return Recipe{[z = *z, form = node.approximate] { return at::gelu(z, form); }, {*z}};
}

std::optional<Recipe> recipe_from_node(const at::Tensor& tensor) {
  const compat::NodePtr node = tensor.grad_fn();
  if (!node || tensor.output_nr() != 0) return std::nullopt;
  if (auto* gelu = dynamic_cast<nodes::GeluBackward0*>(node.get())) {
    return gelu_recipe(*gelu);
  }
  const RecipeHolder* holder = batch_norm_recipe(*node);
  if (!holder) holder = layer_norm_recipe(*node);
  return holder ? holder->find() : std::nullopt;
}

class RecomputeHooks final : public torch::autograd::SavedVariableHooks {
 public:
  RecomputeHooks(Recipe recipe, const at::Tensor& saved)
      : recipe_(std::move(recipe)), sizes_(saved.sizes().vec()) {}

  void call_pack_hook(const at::Tensor&) override {}

  at::Tensor call_unpack_hook() override {
    for (std::size_t i = 0; i < recipe_.sources.size(); ++i) {
      TORCH_CHECK(
          !recipe_.sources[i].defined() || recipe_.sources[i]._version() == recipe_.versions[i],
          "one of the variables needed for gradient computation has been modified by an "
          "inplace operation: ",
          recipe_.sources[i].toString(), " ", recipe_.sources[i].sizes(),
          ", from which an activation is computed again, is at version ",
          recipe_.sources[i]._version(), "; expected version ", recipe_.versions[i], " instead.");
    }
    const at::NoGradGuard no_grad;
    const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
    const at::Tensor tensor = recipe_.run();
    return tensor.sizes() == sizes_ ? tensor : tensor.view(sizes_);
  }

 private:
  Recipe recipe_;
  std::vector<std::int64_t> sizes_;
};

// Places within a plane, in the smallest integers that hold them.
class NarrowIndices final : public torch::autograd::SavedVariableHooks {
 public:
  explicit NarrowIndices(at::ScalarType type) : type_(type) {}
  void call_pack_hook(const at::Tensor& indices) override { narrow_ = indices.to(type_); }
  at::Tensor call_unpack_hook() override { return narrow_.to(at::kLong); }

 private:
  at::ScalarType type_;
  at::Tensor narrow_;
};

void narrow_indices(nodes::MaxPool2DWithIndicesBackward0& node, const at::Tensor& input) {
  const std::int64_t plane = input.size(-1) * input.size(-2);
  const auto type = plane <= std::numeric_limits<std::int16_t>::max()   ? at::kShort
                    : plane <= std::numeric_limits<std::int32_t>::max() ? at::kInt
                                                                        : at::kLong;
  const auto indices = node.result1_.get_raw_data();
  if (type == at::kLong || !indices || !indices->defined()) return;
  node.result1_.register_hooks(std::make_unique<NarrowIndices>(type));
}

// Where the node keeps its input; null for nodes of other operations.
SavedVariable* saved_input(torch::autograd::Node& node) {
  if (auto* convolution = dynamic_cast<nodes::ConvolutionBackward0*>(&node))
    return &convolution->input_;
  if (auto* addmm = dynamic_cast<nodes::AddmmBackward0*>(&node)) return &addmm->mat1_;
  if (auto* mm = dynamic_cast<nodes::MmBackward0*>(&node)) return &mm->self_;
  if (auto* pool = dynamic_cast<nodes::MaxPool2DWithIndicesBackward0*>(&node)) return &pool->self_;
  return nullptr;
}

// The node behind the views that a linear layer of more than two dimensions returns.
compat::NodePtr operation_node(const at::Tensor& output) {
  compat::NodePtr node = output.grad_fn();
  while (node && (dynamic_cast<nodes::ViewBackward0*>(node.get()) ||
                  dynamic_cast<nodes::UnsafeViewBackward0*>(node.get()))) {
    node = node->next_edge(0).function;
  }
  return node;
}

// The same elements in the same order: the tensor itself, or a view of other sizes.
bool is_same_or_view(const at::Tensor& saved, const at::Tensor& input) {
  if (saved.unsafeGetTensorImpl() == input.unsafeGetTensorImpl()) return true;
  return is_plain(saved) && saved.is_alias_of(input) && saved.is_contiguous() &&
         input.is_contiguous() && saved.numel() == input.numel() &&
         saved.storage_offset() == input.storage_offset() &&
         saved.scalar_type() == input.scalar_type();
}

}  // namespace

RecipeHolder::RecipeHolder(const std::vector<at::Tensor>& kept, std::vector<at::Tensor> parameters,
                           Again again)
    : parameters_(std::move(parameters)), again_(std::move(again)) {
  for (const at::Tensor& each : kept) kept_.emplace_back(each.getIntrusivePtr());
}

std::optional<Recipe> RecipeHolder::find() const {
  std::vector<at::Tensor> kept;
  for (const Weak& each : kept_) {
    auto impl = each.lock();
    if (!impl.defined()) return std::nullopt;
    kept.emplace_back(std::move(impl));
  }
  Recipe recipe{[again = again_, kept] { return again(kept); }, kept};
  recipe.sources.insert(recipe.sources.end(), parameters_.begin(), parameters_.end());
  return recipe;
}

bool inside_torch_func() {
  const auto& state = at::functorch::functorchTLSAccessor();
  if (!state) return false;  // else it says only by an error whether a transform is in force
  try {
    state->checkSupportsCppAutogradFunction();
    return false;
  } catch (const c10::Error&) {
    return true;
  }
}

bool is_plain(const at::Tensor& tensor) {
  return tensor.defined() && tensor.device().is_cpu() && tensor.layout() == at::kStrided &&
         !tensor.is_inference() && !tensor.key_set().has(c10::DispatchKey::Python) &&
         !tensor.key_set().has(c10::DispatchKey::Functionalize) && !inside_torch_func();
}

std::optional<Recipe> recipe_of(const at::Tensor& tensor) {
  if (!is_plain(tensor) || !tensor.requires_grad() || tensor._version() != 0) return std::nullopt;
  auto recipe = recipe_from_node(tensor);
  if (!recipe) return std::nullopt;
  for (const at::Tensor& each : recipe->sources) {
    recipe->versions.push_back(each.defined() ? each._version() : 0);
  }
  return recipe;
}

bool recompute_input(const at::Tensor& output, const at::Tensor& input) {
  if (!is_plain(output) || !output.requires_grad() || !is_plain(input)) return false;
  const compat::NodePtr node = operation_node(output);
  if (!node) return false;
  if (auto* pool = dynamic_cast<nodes::MaxPool2DWithIndicesBackward0*>(node.get())) {
    narrow_indices(*pool, input);
  }
  SavedVariable* slot = saved_input(*node);
  const auto saved = slot ? slot->get_raw_data() : std::nullopt;
  if (!saved || !saved->defined() || !is_same_or_view(*saved, input)) return false;
  auto recipe = recipe_of(input);
  if (!recipe) return false;
  slot->register_hooks(std::make_unique<RecomputeHooks>(std::move(*recipe), *saved));
  return true;
}

}  // namespace halftone::nn
