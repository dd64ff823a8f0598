#include "halftone/models/fcos.h"

#include <ATen/Functions.h>

#include <cmath>
#include <string>

#include "halftone/base/error.h"
#include "halftone/models/layers.h"
#include "halftone/models/resnet.h"
#include "halftone/ops/generator.h"

namespace halftone::models {
namespace {

constexpr double kPrior = 0.01;  // share of the locations that are taken for something at first
constexpr double kHeadDeviation = 0.01;  // of a head's weights (FCOS, after RetinaNet)
constexpr std::int64_t kGroups = 8;

void require_fcos(bool fits, std::int64_t given, const char* expected, const char* name) {
  if (!fits) throw UsageError(std::to_string(given), expected, std::string("fcos, ") + name);
}

nn::Conv2d head_of(std::int64_t in, std::int64_t out) {
  return nn::Conv2d(torch::nn::Conv2dOptions(in, out, 3).padding(1));
}

// (N, C, H, W) -> (N, H W, C), in fp32 at least.
at::Tensor flattened(const at::Tensor& maps) {
  const auto rows = maps.permute({0, 2, 3, 1}).reshape({maps.size(0), -1, maps.size(1)});
  return rows.scalar_type() == at::kDouble ? rows : rows.to(at::kFloat);
}

// The middle of every stride x stride square, (H W, 2).
at::Tensor locations_of(const at::Tensor& maps, std::int64_t stride) {
  const auto half = static_cast<double>(stride) / 2;
  const auto y = at::arange(maps.size(2)).to(at::kFloat) * stride + half;
  const auto x = at::arange(maps.size(3)).to(at::kFloat) * stride + half;
  const auto grid = at::meshgrid({y, x}, "ij");
  return at::stack({grid[1].flatten(), grid[0].flatten()}, 1);
}

}  // namespace

// 3x3 convolutions, each with group normalisation, which levels of different statistics share.
struct Fcos::Tower : torch::nn::Module {
  Tower(std::int64_t width, std::int64_t depth) {
    register_module("convs", convs);
    register_module("norms", norms);
    for (std::int64_t i = 0; i < depth; ++i) {
      convs->push_back(conv(width, width, 3));
      norms->push_back(torch::nn::GroupNorm(kGroups, width));
    }
  }
  at::Tensor forward(at::Tensor x) {
    for (std::size_t i = 0; i < convs->size(); ++i) {
      x = norms->at<torch::nn::GroupNormImpl>(i).forward(convs->at<nn::Conv2dImpl>(i).forward(x));
      x = at::relu(x);
    }
    return x;
  }
  torch::nn::ModuleList convs, norms;
};

Fcos::Fcos(const FcosOptions& options) : options_(options) {
  require_fcos(options.classes >= 1, options.classes, "1 or more", "classes");
  require_fcos(options.width >= kGroups && options.width % kGroups == 0, options.width,
               "a multiple of 8", "width");
  require_fcos(options.depth >= 0, options.depth, "0 or more", "depth");
  GeneratorKept kept;  // LibTorch's modules draw from it when they are made; that is replaced
  NetworkOptions backbone;
  backbone.height = backbone.width = 1;  // or larger
  backbone.classes = 0;
  backbone.stem = Stem::imagenet;
  backbone_ = register_module("backbone",
                              std::make_shared<ResNet18>(backbone, std::array<int, 4>{2, 2, 2, 2}));
  register_module("lateral", lateral_);
  register_module("smooth", smooth_);
  for (const std::int64_t in : {128, 256, 512}) {
    lateral_->push_back(nn::Conv2d(torch::nn::Conv2dOptions(in, options.width, 1)));
    smooth_->push_back(head_of(options.width, options.width));
  }
  class_tower_ =
      register_module("class_tower", std::make_shared<Tower>(options.width, options.depth));
  box_tower_ = register_module("box_tower", std::make_shared<Tower>(options.width, options.depth));
  class_head_ = register_module("class_head", head_of(options.width, options.classes));
  box_head_ = register_module("box_head", head_of(options.width, 4));
  centre_head_ = register_module("centre_head", head_of(options.width, 1));
  scales_ = register_parameter("scales", at::ones({3}));
  initialise_layers(*this, options.seed, options.init);
  const at::NoGradGuard no_grad;
  for (auto* head : {&class_head_, &box_head_, &centre_head_}) {
    auto& weight = (*head)->weight;
    const double fan_out = static_cast<double>(weight.size(0)) * 9;
    weight.mul_(kHeadDeviation / std::sqrt(2 / fan_out));  // from Kaiming's deviation
  }
  class_head_->bias.fill_(-std::log((1 - kPrior) / kPrior));
}

std::array<at::Tensor, 3> Fcos::pyramid(const at::Tensor& x) {
  const auto maps = dynamic_cast<ResNet18&>(*backbone_).features(x);
  std::array<at::Tensor, 3> levels;
  for (std::size_t i = levels.size(); i-- > 0;) {
    levels[i] = lateral_->at<nn::Conv2dImpl>(i).forward(maps[i + 1]);
    if (i + 1 < levels.size()) {
      levels[i] =
          levels[i] + at::upsample_nearest2d(levels[i + 1], {levels[i].size(2), levels[i].size(3)});
    }
  }
  for (std::size_t i = 0; i < levels.size(); ++i) {
    levels[i] = smooth_->at<nn::Conv2dImpl>(i).forward(levels[i]);
  }
  return levels;
}

FcosOutput Fcos::forward(const at::Tensor& x) {
  const auto levels = pyramid(x);
  std::vector<at::Tensor> logits, distances, centredness, locations, strides;
  for (std::size_t i = 0; i < levels.size(); ++i) {
    const at::Tensor classes = class_tower_->forward(levels[i]);
    const at::Tensor boxes = box_tower_->forward(levels[i]);
    logits.push_back(flattened(class_head_(classes)));
    centredness.push_back(flattened(centre_head_(boxes)).squeeze(2));
    const at::Tensor raw = flattened(box_head_(boxes));
    distances.push_back((raw * scales_[static_cast<std::int64_t>(i)].to(raw.scalar_type())).exp() *
                        kStrides[i]);
    locations.push_back(locations_of(levels[i], kStrides[i]));
    strides.push_back(at::full({locations.back().size(0)}, kStrides[i], at::kFloat));
  }
  return {at::cat(logits, 1), at::cat(distances, 1), at::cat(centredness, 1), at::cat(locations),
          at::cat(strides)};
}

}  // namespace halftone::models
