#include "halftone/nn/attention.h"

#include <ATen/ops/_scaled_dot_product_attention_math.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include "halftone/nn/attention_operations.h"
#include "halftone/nn/policy_exception.h"
#include "halftone/nn/recipe.h"
#include "halftone/ops/attention_ops.h"

namespace halftone::nn {
namespace {

using OptionalTensor = std::optional<at::Tensor>;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

OptionalTensor tensor_given(const at::Tensor& tensor) {
  return tensor.defined() ? OptionalTensor(tensor) : std::nullopt;
}

struct FusedAttention : torch::autograd::Function<FusedAttention> {
  enum Saved { kFirst, kSecond, kThird, kBias, kY, kLogSum };

  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& first,
                            const OptionalTensor& second, const OptionalTensor& third,
                            const OptionalTensor& bias, std::int64_t heads, bool causal) {
    const auto [y, log_sum] = call_attention_forward({first, second, third}, bias, heads, causal);
    const at::Tensor none;
    ctx->save_for_backward(
        {first, second.value_or(none), third.value_or(none), bias.value_or(none), y, log_sum});
    ctx->saved_data["heads"] = heads;
    ctx->saved_data["causal"] = causal;
    return y;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    variable_list results(6);
    if (!gradients[0].defined()) return results;
    const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
    const variable_list saved = ctx->get_saved_variables();
    const Projections projections{saved[kFirst], tensor_given(saved[kSecond]),
                                  tensor_given(saved[kThird])};
    const std::int64_t heads = ctx->saved_data["heads"].toInt();
    const bool causal = ctx->saved_data["causal"].toBool();
    if (at::GradMode::is_enabled()) {
      differentiable_backward(projections, tensor_given(saved[kBias]), heads, causal, gradients[0],
                              results);
      return results;
    }
    const auto found =
        call_attention_backward(gradients[0], projections, tensor_given(saved[kBias]), saved[kY],
                                saved[kLogSum], heads, causal);
    results[0] = std::get<0>(found);
    if (projections.second) results[1] = std::get<1>(found);
    if (projections.third) results[2] = std::get<2>(found);
    return results;
  }

 private:
  // With LibTorch's operations one by one, so that the result can be differentiated again.
  static void differentiable_backward(const Projections& projections, const OptionalTensor& bias,
                                      std::int64_t heads, bool causal, const at::Tensor& gradient,
                                      variable_list& results) {
    const auto [q, k, v] = projections.heads(heads);
    const auto mask = bias ? OptionalTensor(bias->to(q.scalar_type())) : std::nullopt;
    const at::Tensor y =
        std::get<0>(at::_scaled_dot_product_attention_math(q, k, v, mask, 0, causal))
            .transpose(1, 2)
            .flatten(2);
    variable_list sources;
    for (const OptionalTensor& each :
         {OptionalTensor(projections.first), projections.second, projections.third}) {
      if (each && each->requires_grad()) sources.push_back(*each);
    }
    const auto found = torch::autograd::grad({y}, sources, {gradient}, /*retain_graph=*/true,
                                             /*create_graph=*/true);
    std::size_t next = 0;
    if (projections.first.requires_grad()) results[0] = found[next++];
    if (projections.second && projections.second->requires_grad()) results[1] = found[next++];
    if (projections.third && projections.third->requires_grad()) results[2] = found[next++];
  }
};

bool is_projection(const at::Tensor& x) {
  return x.device().is_cpu() && x.layout() == at::kStrided && x.dim() == 3 &&
         (x.scalar_type() == at::kHalf || x.scalar_type() == at::kBFloat16);
}

// The sizes of a call that the operations can cut into heads.
bool cuts_into_heads(const Projections& p, std::int64_t heads) {
  if (!is_projection(p.first) || (p.second && !is_projection(*p.second)) ||
      (p.third && !is_projection(*p.third)) || heads < 1) {
    return false;
  }
  const std::int64_t width = p.second ? p.first.size(2) : p.first.size(2) / 3;
  if (width < 1 || width % heads != 0) return false;
  if (!p.second) return p.first.size(2) == 3 * width;
  return p.second->size(2) == (p.third ? 1 : 2) * width &&
         (!p.third || p.third->sizes() == p.second->sizes());
}

bool takes_fused_attention(const Projections& p, const AttentionOptions& o) {
  if (!cuts_into_heads(p, o.heads) || inside_torch_func()) return false;
  if (o.bias.defined() && (o.causal || o.bias.requires_grad() || !o.bias.device().is_cpu())) {
    return false;
  }
  const auto [q, k, v] = p.heads(o.heads);
  return ops::attention_takes({q, k, v, tensor_given(o.bias), o.causal}) &&
         !policy_names("scaled_dot_product_attention", std::nullopt);
}

at::Tensor attend_one_by_one(const Projections& p, const AttentionOptions& o) {
  const auto [q, k, v] = p.heads(o.heads);
  const auto bias = o.bias.defined() ? OptionalTensor(o.bias.to(q.scalar_type())) : std::nullopt;
  return at::scaled_dot_product_attention(q, k, v, bias, 0, o.causal).transpose(1, 2).flatten(2);
}

at::Tensor attend(Projections p, const AttentionOptions& o) {
  if (!takes_fused_attention(p, o)) return attend_one_by_one(p, o);
  p.first = p.first.contiguous();
  if (p.second) p.second = p.second->contiguous();
  if (p.third) p.third = p.third->contiguous();
  const OptionalTensor bias = tensor_given(o.bias);
  if (!at::GradMode::is_enabled()) {
    return std::get<0>(call_attention_forward(p, bias, o.heads, o.causal));
  }
  return FusedAttention::apply(p.first, p.second, p.third, bias, o.heads, o.causal);
}

}  // namespace

at::Tensor attention(const at::Tensor& qkv, const AttentionOptions& options) {
  return attend({qkv, std::nullopt, std::nullopt}, options);
}

at::Tensor attention(const at::Tensor& q, const at::Tensor& kv, const AttentionOptions& options) {
  return attend({q, kv, std::nullopt}, options);
}

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const AttentionOptions& options) {
  return attend({q, k, v}, options);
}

}  // namespace halftone::nn
