#include "halftone/nn/residual_block.h"

#include <ATen/ops/add.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/randn_like.h>
#include <ATen/ops/relu.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/nn/modules/activation.h>

#include <functional>
#include <typeinfo>
#include <utility>

#include "halftone/ops/generator.h"

namespace halftone::nn {
namespace {

using ModulePtr = std::shared_ptr<torch::nn::Module>;
using Children = torch::OrderedDict<std::string, ModulePtr>;

template <class Layer>
bool is_exactly(const torch::nn::Module& module) {
  return typeid(module) == typeid(Layer);
}

struct ChildCounts {
  std::size_t convs = 0, norms = 0, sequentials = 0, others = 0;

  explicit ChildCounts(const Children& children) {
    for (const auto& each : children) {
      const ModulePtr& child = each.value();
      if (!child) {
        ++others;
      } else if (is_exactly<torch::nn::Conv2dImpl>(*child)) {
        ++convs;
      } else if (is_exactly<torch::nn::BatchNorm2dImpl>(*child)) {
        ++norms;
      } else if (std::dynamic_pointer_cast<torch::nn::SequentialImpl>(child)) {
        ++sequentials;
      } else if (!is_exactly<torch::nn::ReLUImpl>(*child)) {
        ++others;
      }
    }
  }
  bool of_a_residual_block() const {
    return (convs == 2 || convs == 3) && norms == convs && sequentials <= 1 && others == 0;
  }
};

// What a module's passes may change, put back at the end.
class ModuleStateKept {
 public:
  explicit ModuleStateKept(torch::nn::Module& module) : modules_(module.modules()) {
    for (const auto& each : modules_) training_.push_back(each->is_training());
    buffers_ = module.buffers();
    for (const auto& each : buffers_) values_.push_back(each.detach().clone());
  }
  ~ModuleStateKept() {
    restore_buffers();
    // A parent's train() is its children's too: they come after it.
    for (std::size_t i = 0; i < modules_.size(); ++i) modules_[i]->train(training_[i]);
  }
  ModuleStateKept(const ModuleStateKept&) = delete;
  ModuleStateKept& operator=(const ModuleStateKept&) = delete;

  void restore_buffers() {
    const at::NoGradGuard no_grad;
    for (std::size_t i = 0; i < buffers_.size(); ++i) buffers_[i].copy_(values_[i]);
  }

 private:
  std::vector<ModulePtr> modules_;
  std::vector<bool> training_;
  std::vector<at::Tensor> buffers_, values_;
};

// The result of a pass, the gradients of `inputs` and the buffers behind it.
std::vector<at::Tensor> traces_of_pass(const std::function<at::Tensor()>& run,
                                       const std::vector<at::Tensor>& inputs,
                                       const std::vector<at::Tensor>& buffers) {
  const at::Tensor y = run();
  // Generators stand alike before each pass, so the gradient is the same.
  const at::Tensor gradient = at::randn_like(y);
  std::vector<at::Tensor> all =
      torch::autograd::grad({y}, inputs, {gradient}, std::nullopt, false, /*allow_unused=*/true);
  all.push_back(y.detach());
  for (const auto& each : buffers) all.push_back(each.detach().clone());
  return all;
}

bool same_tensors(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].defined() != b[i].defined()) return false;
    if (a[i].defined() && (a[i].sizes() != b[i].sizes() || !at::equal(a[i], b[i]))) return false;
  }
  return true;
}

}  // namespace

std::shared_ptr<ResidualBlockImpl> ResidualBlockImpl::like(const torch::nn::Module& module) {
  if (dynamic_cast<const torch::nn::SequentialImpl*>(&module)) return nullptr;
  const Children children = module.named_children();
  if (!ChildCounts(children).of_a_residual_block()) return nullptr;
  if (!module.parameters(/*recurse=*/false).empty() || !module.buffers(false).empty()) {
    return nullptr;
  }
  auto block = std::make_shared<ResidualBlockImpl>();
  block->train(module.is_training());  // before there are children, which keep their own mode
  std::size_t norms = 0;
  const std::size_t last = ChildCounts(children).norms;
  for (const auto& each : children) {
    const torch::nn::Module& child = *each.value();
    if (is_exactly<torch::nn::Conv2dImpl>(child)) {
      block->adopt(each.key(),
                   std::make_shared<Conv2dImpl>(static_cast<const torch::nn::Conv2dImpl&>(child)));
    } else if (is_exactly<torch::nn::BatchNorm2dImpl>(child)) {
      const auto& norm = static_cast<const torch::nn::BatchNorm2dImpl&>(child);
      if (++norms == last) {
        block->adopt(each.key(), std::make_shared<BatchNormAddReLUImpl>(norm));
      } else {
        block->adopt(each.key(), std::make_shared<BatchNormReLUImpl>(norm));
      }
    } else {
      block->adopt(each.key(), each.value());
    }
  }
  return block;
}

void ResidualBlockImpl::adopt(const std::string& name, const ModulePtr& child) {
  register_module(name, child);
  if (const auto conv = std::dynamic_pointer_cast<Conv2dImpl>(child)) {
    convs_.emplace_back(conv);
  } else if (const auto norm = std::dynamic_pointer_cast<BatchNormReLUImpl>(child)) {
    norms_.emplace_back(norm);
  } else if (const auto add = std::dynamic_pointer_cast<BatchNormAddReLUImpl>(child)) {
    last_ = BatchNormAddReLU(add);
  } else if (const auto sequential = std::dynamic_pointer_cast<torch::nn::SequentialImpl>(child)) {
    shortcut_ = sequential;
  }
}

at::Tensor ResidualBlockImpl::shortcut(const at::Tensor& x) {
  return shortcut_ && !shortcut_->is_empty() ? shortcut_->forward(x) : x;
}

at::Tensor ResidualBlockImpl::forward(const at::Tensor& x) {
  at::Tensor h = x;
  for (std::size_t i = 0; i < norms_.size(); ++i) h = norms_[i]->forward(convs_[i]->forward(h));
  return last_->forward(convs_.back()->forward(h), shortcut(x));
}

at::Tensor ResidualBlockImpl::forward_one_by_one(const at::Tensor& x) {
  const auto conv = [&](std::size_t i, const at::Tensor& h) {
    return convs_[i]->torch::nn::Conv2dImpl::forward(h);
  };
  at::Tensor h = x;
  for (std::size_t i = 0; i < norms_.size(); ++i) {
    h = at::relu(norms_[i]->torch::nn::BatchNorm2dImpl::forward(conv(i, h)));
  }
  h = last_->torch::nn::BatchNorm2dImpl::forward(conv(norms_.size(), h));
  return at::relu(at::add(h, shortcut(x)));
}

bool ResidualBlockImpl::computes_as(torch::nn::AnyModule& original) {
  constexpr std::int64_t kSide = 9;  // odd, and three pixels after a stride of two and one of two
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  const at::AutoGradMode with_grad(true);
  const GeneratorKept generator_kept;
  const ModulePtr module = original.ptr();
  ModuleStateKept kept(*module);
  const at::Tensor& weight = convs_.front()->weight;
  const at::Tensor x = at::randn({2, convs_.front()->options.in_channels(), kSide, kSide},
                                 weight.options().requires_grad(false))
                           .requires_grad_();
  std::vector<at::Tensor> inputs{x};
  for (const auto& each : module->parameters()) {
    if (each.requires_grad()) inputs.push_back(each);
  }
  for (const bool training : {true, false}) {
    module->train(training);
    train(training);
    const at::Tensor generator = generator_state();
    const auto expected =
        traces_of_pass([&] { return original.forward<at::Tensor>(x); }, inputs, module->buffers());
    kept.restore_buffers();
    set_generator_state(generator);
    const auto found =
        traces_of_pass([&] { return forward_one_by_one(x); }, inputs, module->buffers());
    kept.restore_buffers();
    if (!same_tensors(found, expected)) return false;
  }
  return true;
}

ModulePtr ResidualBlockImpl::clone(const std::optional<torch::Device>& device) const {
  auto copy = std::make_shared<ResidualBlockImpl>();
  copy->train(is_training());
  for (const auto& each : named_children()) copy->adopt(each.key(), each.value()->clone(device));
  return copy;
}

}  // namespace halftone::nn
