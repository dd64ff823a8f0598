#include "halftone/nn/prepack.h"

#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <optional>
#include <utility>

#include "halftone/base/error.h"
#include "halftone/ops/packed_weights.h"

namespace halftone {
namespace {

struct PackableLayer {
  const char* text;
  at::Tensor weight;
  std::int64_t groups = 1;
};

std::optional<PackableLayer> packable_layer(const torch::nn::Module& module) {
  if (const auto* linear = dynamic_cast<const torch::nn::LinearImpl*>(&module)) {
    return PackableLayer{"Linear", linear->weight};
  }
  if (const auto* conv = dynamic_cast<const torch::nn::Conv2dImpl*>(&module)) {
    return PackableLayer{"Conv2d", conv->weight, conv->options.groups()};
  }
  if (const auto* conv = dynamic_cast<const torch::nn::Conv1dImpl*>(&module)) {
    return PackableLayer{"Conv1d", conv->weight, conv->options.groups()};
  }
  return std::nullopt;
}

const char* reason_to_leave(const at::Tensor& weight, std::int64_t groups) {
  const auto type = weight.scalar_type();
  if (weight.requires_grad()) return "its weight requires a gradient";
  if (type != at::kHalf && type != at::kBFloat16) return "its weight isn't fp16 or bf16";
  if (groups != 1) return "groups";
  return nullptr;
}

bool keep_weight(const at::Tensor& weight) {
  using ops::WeightUse;
  const at::NoGradGuard no_grad;
  if (weight.dim() < 2 || weight.dim() > 4) return false;
  if (weight.dim() == 2) return ops::keep_packed(weight, weight.t(), WeightUse::matrix);
  const at::Tensor window = weight.dim() == 3 ? weight.unsqueeze(2) : weight;
  return ops::keep_packed(weight, window, WeightUse::convolution);
}

}  // namespace

std::string PrepackReport::str() const {
  std::string text;
  for (const Entry& each : packed) text += each.name + ": " + each.text + "\n";
  for (const Entry& each : left_alone) text += each.name + ": left alone, " + each.text + "\n";
  return text;
}

std::string prepack_weight(const at::Tensor& weight, std::int64_t groups) {
  if (const char* reason = reason_to_leave(weight, groups)) return reason;
  return keep_weight(weight) ? "" : "no kernel of this rung reads a pack of it";
}

PrepackReport prepack(torch::nn::Module& module) {
  std::vector<std::pair<std::string, PackableLayer>> layers;
  for (const auto& each : module.named_modules("", /*include_self=*/true)) {
    auto layer = packable_layer(*each.value());
    if (!layer) continue;
    if (layer->weight.requires_grad()) {
      const std::string name = each.key().empty() ? "weight" : each.key() + ".weight";
      throw Error("a weight that requires a gradient", "frozen weights (requires_grad_(false))",
                  "prepack, " + name);
    }
    layers.emplace_back(each.key(), std::move(*layer));
  }
  PrepackReport report;
  for (const auto& [name, layer] : layers) {
    const std::string reason = prepack_weight(layer.weight, layer.groups);
    if (reason.empty()) {
      report.packed.push_back({name, layer.text});
    } else {
      report.left_alone.push_back({name, reason});
    }
  }
  return report;
}

void unpack(torch::nn::Module& module) {
  for (const auto& each : module.modules()) {
    if (const auto layer = packable_layer(*each)) ops::forget_packed(layer->weight);
  }
}

}  // namespace halftone
