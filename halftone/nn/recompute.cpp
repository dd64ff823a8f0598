#include "halftone/nn/recompute.h"

#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/custom_class.h>

#include <algorithm>
#include <utility>

#include "halftone/base/error.h"
#include "halftone/ops/generator.h"
#include "halftone/precision/autocast.h"

namespace halftone::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// What the second pass needs to be the first one again.
struct Segment : torch::CustomClassHolder {
  std::function<at::Tensor(const at::Tensor&)> fn;
  AutocastState autocast;
  at::Tensor generator;
  std::vector<at::Tensor> buffers;
};

class BuffersKept {
 public:
  explicit BuffersKept(const std::vector<at::Tensor>& buffers) : buffers_(buffers) {
    for (const auto& buffer : buffers) before_.push_back(buffer.clone());
  }
  ~BuffersKept() {
    at::NoGradGuard no_grad;
    for (std::size_t i = 0; i < before_.size(); ++i) at::Tensor(buffers_[i]).copy_(before_[i]);
  }
  BuffersKept(const BuffersKept&) = delete;
  BuffersKept& operator=(const BuffersKept&) = delete;

 private:
  const std::vector<at::Tensor>& buffers_;
  std::vector<at::Tensor> before_;
};

at::Tensor run_again(const Segment& segment, const at::Tensor& input) {
  at::AutoGradMode with_gradients(true);
  AutocastRestore autocast(segment.autocast);
  GeneratorKept generator(input.device());
  set_generator_state(segment.generator, input.device());
  // Not the leaf itself: Autocast would cast it once for all that read it, and their gradients
  // would be added up in the half format.
  return segment.fn(input.requires_grad() ? input.view_as(input) : input);
}

struct Recompute : torch::autograd::Function<Recompute> {
  static at::Tensor forward(AutogradContext* ctx, const c10::intrusive_ptr<Segment>& segment,
                            const at::Tensor& input, const at::TensorList& parameters) {
    ctx->saved_data["segment"] = c10::IValue::make_capsule(segment);
    variable_list saved{input};  // also tells where one was written to before backward
    saved.insert(saved.end(), parameters.begin(), parameters.end());
    ctx->save_for_backward(saved);
    return segment->fn(input);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    if (at::GradMode::is_enabled()) {
      throw Error("create_graph through recompute()", "a backward pass of first order");
    }
    const auto capsule = ctx->saved_data["segment"].toCapsule();
    const auto& segment = static_cast<const Segment&>(*capsule);
    auto leaves = ctx->get_saved_variables();
    const bool input_needs = leaves[0].requires_grad();
    leaves[0] = leaves[0].detach().requires_grad_(input_needs);

    BuffersKept buffers(segment.buffers);  // until the inner graph, which holds them, is gone
    const auto output = run_again(segment, leaves[0]);
    variable_list wanted;
    std::copy_if(leaves.begin(), leaves.end(), std::back_inserter(wanted),
                 [](const at::Tensor& leaf) { return leaf.requires_grad(); });
    auto found = torch::autograd::grad({output}, wanted, gradients, /*retain_graph=*/false,
                                       /*create_graph=*/false, /*allow_unused=*/true);
    variable_list result(1 + leaves.size());  // the first belongs to `segment`
    for (std::size_t i = 0, next = 0; i < leaves.size(); ++i) {
      if (leaves[i].requires_grad()) result[i + 1] = found[next++];
    }
    return result;
  }
};

at::Tensor recompute_with(std::function<at::Tensor(const at::Tensor&)> fn, const at::Tensor& input,
                          const std::vector<at::Tensor>& parameters,
                          std::vector<at::Tensor> buffers) {
  const auto needs = [](const at::Tensor& tensor) { return tensor.requires_grad(); };
  if (!at::GradMode::is_enabled() ||
      (!needs(input) && std::none_of(parameters.begin(), parameters.end(), needs))) {
    return fn(input);
  }
  auto segment = c10::make_intrusive<Segment>();
  segment->fn = std::move(fn);
  segment->autocast = AutocastState::capture();
  segment->generator = generator_state(input.device());
  segment->buffers = std::move(buffers);
  // As a TensorList: apply() takes a vector of tensors for one argument without gradients.
  return Recompute::apply(segment, input, at::TensorList(parameters));
}

}  // namespace

at::Tensor recompute(std::function<at::Tensor(const at::Tensor&)> fn, const at::Tensor& input,
                     const std::vector<at::Tensor>& parameters) {
  return recompute_with(std::move(fn), input, parameters, {});
}

at::Tensor recompute(std::function<at::Tensor(const at::Tensor&)> fn, const at::Tensor& input,
                     const torch::nn::Module& module) {
  return recompute_with(std::move(fn), input, module.parameters(), module.buffers());
}

at::Tensor recompute(std::function<at::Tensor(const at::Tensor&)> fn, const at::Tensor& input,
                     std::vector<std::shared_ptr<torch::nn::Module>> modules,
                     const std::vector<at::Tensor>& others) {
  std::vector<at::Tensor> parameters = others, buffers;
  for (const auto& module : modules) {
    const auto own = module->parameters(), moving = module->buffers();
    parameters.insert(parameters.end(), own.begin(), own.end());
    buffers.insert(buffers.end(), moving.begin(), moving.end());
  }
  auto kept = [fn = std::move(fn), modules = std::move(modules)](const at::Tensor& x) {
    return fn(x);
  };
  return recompute_with(std::move(kept), input, parameters, std::move(buffers));
}

}  // namespace halftone::nn
