#include "halftone/numerics/numerics_monitor.h"

#include <ATen/ATen.h>
#include <torch/nn/module.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "halftone/base/error.h"
#include "halftone/base/log.h"
#include "halftone/base/text.h"
#include "halftone/kernels/exponents/exponents.h"
#include "halftone/numerics/tensor_range.h"
#include "halftone/precision/layer_scales.h"

namespace halftone::numerics {
namespace {

using Kind = OperationCall::Kind;

constexpr double kNeverMoves = 0.999;  // share of the elements
constexpr int kSamplesToWarn = 3;
// Operations that read a parameter to pass it on.
constexpr std::string_view kPassing =
    "to _to_copy t transpose permute view reshape detach alias clone contiguous expand slice "
    "select "
    "add_ copy_ unsqueeze squeeze chunk split numpy_T";

std::optional<kernels::Element> counted_as(c10::ScalarType type) {
  if (type == at::kFloat) return kernels::Element::fp32;
  if (type == at::kHalf) return kernels::Element::fp16;
  if (type == at::kBFloat16) return kernels::Element::bf16;
  return std::nullopt;
}

// Other formats and devices are counted as fp32 on the CPU.
kernels::ExponentCounts count(const at::Tensor& tensor) {
  at::Tensor dense = tensor.detach();
  if (!counted_as(dense.scalar_type())) dense = dense.to(at::kFloat);
  if (!dense.is_cpu()) dense = dense.cpu();
  if (!dense.is_non_overlapping_and_dense()) dense = dense.contiguous();
  kernels::ExponentCounts counts{};
  kernels::count_exponents(
      {*counted_as(dense.scalar_type()), dense.const_data_ptr(), dense.numel(), &counts});
  return counts;
}

bool countable(const at::Tensor& tensor) {
  return tensor.defined() && tensor.layout() == at::kStrided && tensor.is_floating_point() &&
         tensor.numel() > 0;
}

// The distance from |weight| to the next number of its format.
at::Tensor ulp_of(const at::Tensor& weight) {
  const int mantissa = weight.scalar_type() == at::kHalf ? 10 : 7;
  const int smallest = weight.scalar_type() == at::kHalf ? -14 : -126;
  const at::Tensor exponent =
      std::get<1>(at::frexp(weight.to(at::kFloat))).sub(1).clamp_min(smallest);
  return at::exp2((exponent - mantissa).to(at::kFloat));
}

double share(const at::Tensor& part, const at::Tensor& whole) {
  const double all = whole.sum().item<double>();
  return all > 0 ? at::logical_and(part, whole).sum().item<double>() / all : 0;
}

}  // namespace

struct NumericsMonitor::Notes final : CallNotes {
  OperationNames::Known known;
};

NumericsMonitor::NumericsMonitor(const torch::nn::Module& module, MonitorOptions options,
                                 std::function<at::Tensor(const at::Tensor&)> master)
    : module_(module), options_(options), master_(std::move(master)) {
  if (options.every < 1) {
    throw UsageError(std::to_string(options.every), "1 or more", "monitor, every");
  }
  if (module.parameters().empty()) {
    throw UsageError("a module without parameters", "one that trains", "monitor");
  }
}

NumericsMonitor::~NumericsMonitor() = default;

void NumericsMonitor::begin_step(std::int64_t step, double loss_scale) {
  report_ = {step, loss_scale, {}};
  layers_.clear();
  before_.clear();
  names_ = std::make_unique<OperationNames>(module_);
  sampling_ = true;
}

void NumericsMonitor::add(TensorKind kind, const std::string& name, const at::Tensor& tensor) {
  if (!countable(tensor)) return;
  const kernels::ExponentCounts counts = count(tensor);
  TensorStatistics statistics;
  statistics.kind = kind;
  statistics.name = name;
  statistics.format = type_name(tensor.scalar_type());
  statistics.count = tensor.numel();
  statistics.zeros = counts.zeros;
  statistics.not_finite = counts.by_exponent[255];
  statistics.amax = counts.amax;
  const std::int64_t finite = statistics.count - statistics.not_finite;
  statistics.rms = finite ? std::sqrt(counts.square_sum / static_cast<double>(finite)) : 0;
  statistics.exponents = counts.by_exponent;
  report_.tensors.push_back(std::move(statistics));
}

void NumericsMonitor::add_gradient(const std::string& name, const at::Tensor& gradient) {
  const std::size_t before = report_.tensors.size();
  add(TensorKind::activation_grad, name, gradient);
  if (report_.tensors.size() == before) return;
  const double scale = layer_scale_of(gradient);
  if (scale != 1) report_.tensors.back().take_out_layer_scale(scale);
}

void NumericsMonitor::begin(OperationCall& call) {
  auto notes = std::make_unique<Notes>();
  const auto* outer = call.outer ? static_cast<const Notes*>(call.outer->notes.get()) : nullptr;
  notes->known = names_->begin(call, outer ? &outer->known : nullptr);
  if (call.kind == Kind::node && notes->known.forward && !call.inputs.empty()) {
    const ForwardOperation& forward = *notes->known.forward;
    const auto layer = layers_.find(forward.place.name);
    if (layer != layers_.end() && layer->second == forward.operation &&
        forward.occurrence.empty() && !forward.place.after) {
      add_gradient(layer->first, call.inputs[0]);
    }
  }
  call.notes = std::move(notes);
}

void NumericsMonitor::end(OperationCall& call, const std::vector<at::Tensor>& outputs) {
  const auto* notes = static_cast<const Notes*>(call.notes.get());
  if (!notes) return;
  const OperationNames::Known& known = notes->known;
  const bool layer = call.kind == Kind::operation && !known.backward && !known.parameter.empty() &&
                     known.occurrence.empty() && !outputs.empty() && countable(outputs[0]) &&
                     !glob_match_any(kPassing, call.name);
  // Of several operations around one another the innermost ends first; the others are the same.
  if (layer && layers_.try_emplace(known.parameter, call.name).second) {
    add(TensorKind::activation, known.parameter, outputs[0]);
  }
  names_->end(call, known, outputs);
}

void NumericsMonitor::before_update() {
  if (!sampling_) return;
  const at::NoGradGuard no_grad;
  for (const auto& item : module_.named_parameters()) {
    const at::Tensor& parameter = item.value();
    if (!parameter.defined()) continue;
    add(TensorKind::weight, item.key(), parameter);
    if (!parameter.grad().defined()) continue;
    add(TensorKind::weight_grad, item.key(), parameter.grad());
    const at::Tensor master = master_ ? master_(parameter) : parameter;
    Before& before = before_[item.key()];
    before.master = master.detach().clone();
    before.weight = master.is_same(parameter) ? before.master : parameter.detach().clone();
  }
}

void NumericsMonitor::add_update(const std::string& name, const at::Tensor& parameter,
                                 const Before& before) {
  const at::Tensor master = master_ ? master_(parameter) : parameter;
  const at::Tensor update = master.detach().to(at::kFloat) - before.master.to(at::kFloat);
  const std::size_t added = report_.tensors.size();
  add(TensorKind::update, name, update);
  if (report_.tensors.size() == added || !c10::isReducedFloatingType(parameter.scalar_type())) {
    return;
  }
  TensorStatistics& statistics = report_.tensors.back();
  if (!master.is_same(parameter)) {
    statistics.below_half_ulp = share(update.abs() < ulp_of(before.weight) * 0.5, update != 0);
  }
  statistics.unmoved = share(parameter.detach() == before.weight, parameter.grad() != 0);
  const bool stays = master.is_same(parameter) && statistics.unmoved >= kNeverMoves &&
                     parameter.grad().count_nonzero().item<std::int64_t>() > 0;
  unmoved_[name] = stays ? unmoved_[name] + 1 : 0;
}

void NumericsMonitor::after_update(bool applied) {
  if (!sampling_ || !applied) return;
  const at::NoGradGuard no_grad;
  for (const auto& item : module_.named_parameters()) {
    const auto before = before_.find(item.key());
    if (before != before_.end()) add_update(item.key(), item.value(), before->second);
  }
  before_.clear();
  warn_of_unmoved();
}

void NumericsMonitor::warn_of_unmoved() {
  std::vector<std::string> names;
  for (const auto& [name, samples] : unmoved_) {
    if (samples >= kSamplesToWarn) names.push_back(name);
  }
  if (names.empty() || warned_) return;
  warned_ = true;
  warn("half weights that never move, because their updates are smaller than half an ulp: " +
       join(names) + "; store them in fp32, with an fp32 master, or round stochastically");
}

RangeReport NumericsMonitor::take() {
  sampling_ = false;
  names_.reset();
  before_.clear();
  return std::exchange(report_, {});
}

}  // namespace halftone::numerics
