#include "halftone/nn/fuse.h"

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <typeinfo>
#include <utility>

#include "halftone/nn/layers.h"
#include "halftone/nn/residual_block.h"

namespace halftone {
namespace {

using torch::nn::AnyModule;
using torch::nn::SequentialImpl;

// Null unless the module is exactly a Layer: a class derived from one has a forward() of its own.
template <class Layer>
const Layer* exactly(const torch::nn::Module& module) {
  return typeid(module) == typeid(Layer) ? static_cast<const Layer*>(&module) : nullptr;
}

class Fuser {
 public:
  void walk(torch::nn::Module& module, const std::string& prefix) {
    if (auto* sequential = dynamic_cast<SequentialImpl*>(&module)) {
      fuse_sequential(*sequential, prefix);
    } else {
      leave_members(module, prefix);
    }
    for (const auto& child : module.named_children()) {
      if (child.value()) walk(*child.value(), prefix + child.key() + ".");
    }
  }

  FusionReport report;

 private:
  // An element of a Sequential, under its name.
  struct Place {
    SequentialImpl& sequential;
    std::size_t index;
    std::string key, prefix;
  };

  template <class Block>
  void put(const Place& place, std::shared_ptr<Block> block, const std::string& text) {
    *(place.sequential.begin() + static_cast<std::ptrdiff_t>(place.index)) = AnyModule(block);
    place.sequential.replace_module(place.key, std::move(block));
    if (!text.empty()) report.fused.push_back({place.prefix + place.key, text});
  }

  void fuse_sequential(SequentialImpl& sequential, const std::string& prefix) {
    const auto children = sequential.named_children();
    const auto module_at = [&](std::size_t i) -> const torch::nn::Module* {
      return i < children.size() ? children[i].value().get() : nullptr;
    };
    for (std::size_t i = 0; i < children.size(); ++i) {
      const Place place{sequential, i, children[i].key(), prefix};
      const torch::nn::Module& module = *module_at(i);
      if (fuse_residual_block(module, place)) continue;
      const torch::nn::Module* next = module_at(i + 1);
      if (!next || !fuse_pair(module, *next, place)) {
        replace_layer(module, place);
        continue;
      }
      const Place after{sequential, i + 1, children[i + 1].key(), prefix};
      put(after, std::make_shared<torch::nn::IdentityImpl>(), "");
      ++i;
    }
  }

  bool fuse_pair(const torch::nn::Module& first, const torch::nn::Module& second,
                 const Place& place) {
    if (const auto* norm = exactly<torch::nn::BatchNorm2dImpl>(first)) {
      if (!exactly<torch::nn::ReLUImpl>(second)) return false;
      put(place, std::make_shared<nn::BatchNormReLUImpl>(*norm), "BatchNorm2d + ReLU");
      return true;
    }
    if (const auto* linear = exactly<torch::nn::LinearImpl>(first)) {
      const auto* gelu = exactly<torch::nn::GELUImpl>(second);
      if (!gelu) return false;
      auto block = std::make_shared<nn::LinearGeluImpl>(*linear);
      block->approximate = gelu->options.approximate();
      put(place, std::move(block), "Linear + GELU");
      return true;
    }
    return false;
  }

  bool fuse_residual_block(const torch::nn::Module& module, const Place& place) {
    const auto trial = nn::ResidualBlockImpl::like(module);
    if (!trial) return false;
    auto& original = *(place.sequential.begin() + static_cast<std::ptrdiff_t>(place.index));
    std::string reason = "a residual block but for what forward() computes";
    try {
      if (trial->computes_as(original)) {
        put(place, nn::ResidualBlockImpl::like(module), "Conv2d + BatchNorm2d + add + ReLU");
        return true;
      }
    } catch (const std::exception& error) {
      reason = std::string("a residual block, but forward() fails: ") + error.what();
      reason.erase(std::min(reason.find('\n'), reason.size()));
    }
    report.left_alone.push_back({place.prefix + place.key, reason});
    return true;
  }

  template <class Block, class Layer>
  bool replace_exactly(const torch::nn::Module& module, const Place& place, const char* text) {
    const auto* layer = exactly<Layer>(module);
    if (layer) put(place, std::make_shared<Block>(*layer), text);
    return layer != nullptr;
  }

  void replace_layer(const torch::nn::Module& module, const Place& place) {
    const char* lean = "input computed again where it can be";
    if (exactly<torch::nn::BatchNorm2dImpl>(module)) {
      report.left_alone.push_back({place.prefix + place.key, "BatchNorm2d: no ReLU follows"});
      return;
    }
    replace_exactly<nn::Conv2dImpl, torch::nn::Conv2dImpl>(module, place, lean) ||
        replace_exactly<nn::LinearImpl, torch::nn::LinearImpl>(module, place, lean) ||
        replace_exactly<nn::MaxPool2dImpl, torch::nn::MaxPool2dImpl>(module, place, lean) ||
        replace_exactly<nn::LayerNormImpl, torch::nn::LayerNormImpl>(module, place, "LayerNorm");
  }

  void leave_members(const torch::nn::Module& module, const std::string& prefix) {
    for (const auto& child : module.named_children()) {
      if (!child.value()) continue;
      const torch::nn::Module& layer = *child.value();
      const char* name = exactly<torch::nn::BatchNorm2dImpl>(layer) ? "BatchNorm2d"
                         : exactly<torch::nn::Conv2dImpl>(layer)    ? "Conv2d"
                         : exactly<torch::nn::LinearImpl>(layer)    ? "Linear"
                         : exactly<torch::nn::LayerNormImpl>(layer) ? "LayerNorm"
                         : exactly<torch::nn::MaxPool2dImpl>(layer) ? "MaxPool2d"
                                                                    : nullptr;
      if (!name) continue;
      report.left_alone.push_back(
          {prefix + child.key(), std::string(name) + ": a member of " + module.name()});
    }
  }
};

}  // namespace

std::string FusionReport::str() const {
  std::string text;
  for (const Entry& each : fused) text += each.name + ": " + each.text + "\n";
  for (const Entry& each : left_alone) text += each.name + ": left alone, " + each.text + "\n";
  return text;
}

FusionReport fuse(torch::nn::Module& module) {
  Fuser fuser;
  fuser.walk(module, "");
  return std::move(fuser.report);
}

}  // namespace halftone
