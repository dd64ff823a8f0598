#include "halftone/ops/optimizer_ops.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <sstream>

#include "halftone/base/error.h"

namespace halftone::ops {
namespace {

using kernels::Element;
using kernels::GradientSpan;
using kernels::ParameterSpan;
using kernels::UpdateRule;
using kernels::WeightKind;

bool kernel_format(const at::Tensor& tensor) {
  const auto type = tensor.scalar_type();
  return type == at::kFloat || type == at::kHalf || type == at::kBFloat16;
}

Element element(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kFloat  ? Element::fp32
         : tensor.scalar_type() == at::kHalf ? Element::fp16
                                             : Element::bf16;
}

// The same element order in memory. Strides of dimensions of size 1 don't matter.
bool same_order(const at::Tensor& a, const at::Tensor& b) {
  for (std::int64_t d = 0; d < a.dim(); ++d) {
    if (a.size(d) != 1 && a.stride(d) != b.stride(d)) return false;
  }
  return true;
}

// The running sum of blocks, from 0.
template <class Span>
std::vector<std::int64_t> cut(const std::vector<Span>& spans) {
  std::vector<std::int64_t> first_block(spans.size() + 1, 0);
  for (std::size_t i = 0; i < spans.size(); ++i) {
    first_block[i + 1] = first_block[i] + kernels::optimizer_blocks(spans[i].length);
  }
  return first_block;
}

void require_readable(const at::Tensor& gradient, std::size_t index) {
  const std::string where = "gradient " + std::to_string(index);
  if (gradient.layout() != at::kStrided) throw Error("a sparse gradient", "a dense one", where);
  if (!at::isFloatingType(gradient.scalar_type())) {
    throw Error(std::string("a gradient of ") + c10::toString(gradient.scalar_type()),
                "a floating-point format", where);
  }
}

// Sums of squares of the gradients that no kernel reads, NaN where not finite; one transfer for
// all.
std::vector<double> square_sums_by_tensors(const std::vector<at::Tensor>& gradients) {
  std::vector<double> sums;
  if (gradients.empty()) return sums;
  std::vector<at::Tensor> norms;
  for (const at::Tensor& each : gradients) {
    norms.push_back(at::linalg_vector_norm(each, 2, at::OptionalIntArrayRef{}, false, at::kDouble)
                        .to(gradients[0].device()));
  }
  const at::Tensor all = at::stack(norms).cpu();
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    const double norm = all.const_data_ptr<double>()[i];
    sums.push_back(std::isfinite(norm) ? norm * norm : std::nan(""));
  }
  return sums;
}

std::string describe(const at::Tensor& tensor) {
  std::ostringstream text;
  if (!tensor.defined()) return "none";
  text << tensor.sizes() << " of " << c10::toString(tensor.scalar_type());
  return text.str();
}

void require_like(const at::Tensor& tensor, const at::Tensor& weight, c10::ScalarType type,
                  const std::string& where, const char* what) {
  if (tensor.defined() && tensor.sizes() == weight.sizes() && tensor.scalar_type() == type &&
      tensor.device() == weight.device() && tensor.layout() == at::kStrided) {
    return;
  }
  std::ostringstream expected;
  expected << weight.sizes() << " of " << c10::toString(type) << " on " << weight.device();
  throw Error(std::string(what) + " " + describe(tensor), expected.str(), where);
}

void require_valid(const ParameterUpdate& update, std::size_t index) {
  const std::string where = "parameter " + std::to_string(index);
  const auto& weight = update.weight;
  if (!weight.defined() || weight.layout() != at::kStrided ||
      !(kernel_format(weight) || weight.scalar_type() == at::kDouble)) {
    throw Error("weight " + describe(weight), "a dense tensor of fp32, fp16, bf16 or fp64", where);
  }
  const bool half = weight.scalar_type() == at::kHalf || weight.scalar_type() == at::kBFloat16;
  if (half == (update.kind == WeightKind::plain)) {
    throw Error(half ? "a half weight updated in place" : "a weight that is not half",
                half ? "a master, stochastic rounding or Kahan storage" : "an update in place",
                where);
  }
  const auto wide = weight.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  if (!update.gradient.defined()) throw Error("no gradient", "one", where);
  require_readable(update.gradient, index);
  require_like(update.gradient, weight, update.gradient.scalar_type(), where, "gradient");
  if (update.kind == WeightKind::master) {
    require_like(update.master, weight, at::kFloat, where, "master");
  }
  if (update.kind == WeightKind::kahan) {
    require_like(update.compensation, weight, weight.scalar_type(), where, "compensation");
  }
  const bool moments = update.rule != UpdateRule::sgd;
  if (moments || update.numbers.momentum != 0) {
    require_like(update.state[0], weight, wide, where, "state");
  }
  if (moments) require_like(update.state[1], weight, wide, where, "state");
  if (moments && update.state[2].defined()) {
    require_like(update.state[2], weight, wide, where, "state");
  }
}

// The kernels take it: flat CPU memory, the state in the weight's order.
bool takes_kernel(const ParameterUpdate& update) {
  const auto& weight = update.weight;
  if (!weight.is_cpu() || !kernel_format(weight) || !kernel_format(update.gradient) ||
      !weight.is_non_overlapping_and_dense()) {
    return false;
  }
  for (const at::Tensor* each : {&update.master, &update.compensation, &update.state[0],
                                 &update.state[1], &update.state[2]}) {
    if (each->defined() && !same_order(*each, weight)) return false;
  }
  return true;
}

kernels::UpdateNumbers rounded(const Numbers& n) {
  kernels::UpdateNumbers r;
  const auto f = [](double value) { return static_cast<float>(value); };
  r.gradient_scale = f(n.gradient_scale), r.clip_value = f(n.clip_value);
  r.l2 = f(n.l2), r.keep = f(n.keep), r.step_size = f(n.step_size);
  r.momentum = f(n.momentum), r.undampened = f(n.undampened);
  r.one_minus_beta1 = f(n.one_minus_beta1);
  r.beta2 = f(n.beta2), r.one_minus_beta2 = f(n.one_minus_beta2);
  r.eps = f(n.eps), r.root_correction = f(n.root_correction);
  r.correction = f(n.correction), r.decay = f(n.decay);
  r.nesterov = n.nesterov, r.first = n.first;
  return r;
}

template <class T>
T* pointer(const at::Tensor& tensor) {
  return tensor.defined() ? static_cast<T*>(tensor.mutable_data_ptr()) : nullptr;
}

// gradient: in the weight's order.
ParameterSpan span(const ParameterUpdate& update, const at::Tensor& gradient) {
  ParameterSpan s{};
  s.rule = update.rule;
  s.kind = update.kind;
  s.weight_format = element(update.weight);
  s.gradient_format = element(gradient);
  s.length = update.weight.numel();
  s.gradient = gradient.const_data_ptr();
  s.weight = update.weight.mutable_data_ptr();
  s.master = pointer<float>(update.master);
  s.compensation = pointer<std::uint16_t>(update.compensation);
  for (std::size_t k = 0; k < 3; ++k) s.state[k] = pointer<float>(update.state[k]);
  s.key = update.key;
  s.numbers = rounded(update.numbers);
  return s;
}

void update_by_kernel(const std::vector<ParameterUpdate>& updates,
                      const std::vector<std::size_t>& chosen, std::vector<DirectionNorms>& norms) {
  std::vector<at::Tensor> relaid;  // keeps the copies alive
  std::vector<ParameterSpan> spans;
  bool directions = false;
  for (std::size_t index : chosen) {
    const ParameterUpdate& update = updates[index];
    at::Tensor gradient = update.gradient;
    if (!same_order(gradient, update.weight)) {
      gradient =
          at::empty_strided(update.weight.sizes(), update.weight.strides(), gradient.options());
      relaid.push_back(gradient.copy_(update.gradient));
    }
    spans.push_back(span(update, gradient));
    directions |= update.rule == UpdateRule::lamb_direction;
  }
  const auto first_block = cut(spans);
  std::vector<double> sums(directions ? 2 * static_cast<std::size_t>(first_block.back()) : 0);
  kernels::optimizer_update(
      {spans.data(), first_block.data(), static_cast<std::int64_t>(spans.size()), sums.data()});
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    const ParameterUpdate& update = updates[chosen[i]];
    if (update.rule != UpdateRule::lamb_direction) {
      if (!update.weight.is_inference()) update.weight.unsafeGetTensorImpl()->bump_version();
      continue;
    }
    double weight = 0, direction = 0;
    for (auto block = first_block[i]; block < first_block[i + 1]; ++block) {
      weight += sums[2 * static_cast<std::size_t>(block)];
      direction += sums[2 * static_cast<std::size_t>(block) + 1];
    }
    norms[chosen[i]] = {std::sqrt(weight), std::sqrt(direction)};
  }
}

}  // namespace

GradientReading read_gradients(const std::vector<at::Tensor>& gradients) {
  const c10::NoGradGuard no_grad;
  GradientReading result;
  std::vector<at::Tensor> relaid, others;
  std::vector<GradientSpan> spans;
  std::vector<std::size_t> span_index, other_index;
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    const at::Tensor& each = gradients[i];
    if (!each.defined()) continue;
    require_readable(each, i);
    ++result.tensors;
    if (!each.is_cpu() || !kernel_format(each)) {
      others.push_back(each);
      other_index.push_back(i);
      continue;
    }
    const bool dense = each.is_non_overlapping_and_dense();
    if (!dense) relaid.push_back(each.contiguous());
    const at::Tensor& flat = dense ? each : relaid.back();
    spans.push_back({element(flat), flat.const_data_ptr(), flat.numel()});
    span_index.push_back(i);
  }
  std::vector<double> sums(gradients.size(), 0);
  const auto first_block = cut(spans);
  std::vector<double> block_sums(static_cast<std::size_t>(first_block.back()));
  kernels::gradient_check({spans.data(), first_block.data(),
                           static_cast<std::int64_t>(spans.size()), block_sums.data()});
  for (std::size_t i = 0; i < spans.size(); ++i) {
    for (auto block = first_block[i]; block < first_block[i + 1]; ++block) {
      sums[span_index[i]] += block_sums[static_cast<std::size_t>(block)];
    }
  }
  const auto other_sums = square_sums_by_tensors(others);
  for (std::size_t i = 0; i < others.size(); ++i) sums[other_index[i]] = other_sums[i];
  double total = 0;
  for (std::size_t i = 0; i < sums.size(); ++i) {
    total += sums[i];
    if (result.first_non_finite < 0 && !std::isfinite(sums[i])) {
      result.first_non_finite = static_cast<std::int64_t>(i);
    }
  }
  result.norm = std::sqrt(total);
  return result;
}

std::vector<DirectionNorms> update_parameters(const std::vector<ParameterUpdate>& updates) {
  const c10::NoGradGuard no_grad;
  std::vector<DirectionNorms> norms(updates.size());
  std::vector<std::size_t> by_kernel, by_tensors;
  for (std::size_t i = 0; i < updates.size(); ++i) {
    require_valid(updates[i], i);
    (takes_kernel(updates[i]) ? by_kernel : by_tensors).push_back(i);
  }
  if (!by_kernel.empty()) update_by_kernel(updates, by_kernel, norms);
  for (std::size_t i : by_tensors) norms[i] = update_with_tensors(updates[i]);
  return norms;
}

void lamb_update(std::vector<ParameterUpdate>& updates, const std::vector<bool>& adapt) {
  const auto norms = update_parameters(updates);
  for (std::size_t i = 0; i < updates.size(); ++i) {
    updates[i].rule = UpdateRule::lamb_apply;
    if (adapt[i]) updates[i].numbers.step_size *= trust_ratio(norms[i].weight, norms[i].direction);
  }
  update_parameters(updates);
}

}  // namespace halftone::ops
