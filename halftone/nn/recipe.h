// Activations that need not be kept for backward: what follows them computes them again from what
// the operation that made them keeps anyway (Rota Bulò, Porzi, Kontschieder 2018, "In-place
// activated BatchNorm for memory-optimized training of DNNs", section 3, without its inversion).
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/custom_class.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "halftone/base/export.h"

namespace halftone::nn {

// How a tensor is computed again, bit for bit, in one pass over memory.
struct Recipe {
  std::function<at::Tensor()> run;           // reads `sources`; without gradients, outside autocast
  std::vector<at::Tensor> sources;           // which the graph keeps anyway
  std::vector<std::uint32_t> versions = {};  // theirs when the recipe was made
};

// Of a tensor that GELU or one of the blocks here (BatchNormReLU, LayerNorm) made and nobody has
// written to since; else nothing.
std::optional<Recipe> recipe_of(const at::Tensor& tensor);

// Whether torch.func transforms what runs: it takes no autograd function of C++.
bool inside_torch_func();

// A CPU tensor of its own, outside inference mode: not one that stands for others while a graph is
// traced or torch.func transforms a function.
bool is_plain(const at::Tensor& tensor);

// What the node of an autograd function of ours carries, as entry "recipe" of its saved data, for
// its output to be computed again. `kept` are held weakly: the saved tensors of the nodes keep
// them, unless hooks on saved tensors took them.
struct RecipeHolder : torch::CustomClassHolder {
  using Again = std::function<at::Tensor(const std::vector<at::Tensor>& kept)>;
  RecipeHolder(const std::vector<at::Tensor>& kept, std::vector<at::Tensor> parameters,
               Again again);
  std::optional<Recipe> find() const;  // nothing once one is gone

 private:
  using Weak = c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>;
  std::vector<Weak> kept_;
  std::vector<at::Tensor> parameters_;
  Again again_;
};

// The holder of a node of `Function`; null for other nodes.
template <class Function>
const RecipeHolder* recipe_holder(torch::autograd::Node& node) {
  auto* own = dynamic_cast<torch::autograd::CppNode<Function>*>(&node);
  if (!own) return nullptr;
  const auto found = own->ctx_.saved_data.find("recipe");
  if (found == own->ctx_.saved_data.end()) return nullptr;
  return static_cast<const RecipeHolder*>(found->second.toCapsule().get());
}

// Call after output = operation(input, ...). Where the operation is a convolution, a linear layer,
// a product of matrices or max pooling, whose node keeps `input`, and there is a recipe for it, the
// node keeps the recipe: the input's memory is free as soon as nobody else holds it. Max pooling's
// indices are kept in as many bytes as they need. Backward, also twice, gives the same bits; one
// that finds the sources modified in place is an error, as LibTorch's own. Hooks on saved tensors
// (also Python's checkpointing) keep what they get. False where nothing was changed.
HALFTONE_API bool recompute_input(const at::Tensor& output, const at::Tensor& input);

}  // namespace halftone::nn
