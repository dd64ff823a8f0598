#include "halftone/models/unet.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/upsample_bilinear2d.h>

#include <memory>
#include <sstream>
#include <vector>

#include "halftone/base/error.h"
#include "halftone/models/layers.h"
#include "halftone/ops/generator.h"

namespace halftone::models {
namespace {

void require_unet(std::int64_t given, std::int64_t least, const char* name) {
  if (given >= least) return;
  throw UsageError(std::to_string(given), std::to_string(least) + " or more",
                   std::string("unet, ") + name);
}

struct TwoConvs : torch::nn::Module {
  TwoConvs(std::int64_t in, std::int64_t out)
      : first(register_module("0", nn::ConvBnReLU(conv_options(in, out, 3)))),
        second(register_module("1", nn::ConvBnReLU(conv_options(out, out, 3)))) {}
  at::Tensor forward(const at::Tensor& x) { return second(first(x)); }

  nn::ConvBnReLU first, second;
};

}  // namespace

UNet::UNet(const UNetOptions& options) : options_(options) {
  require_unet(options.channels, 1, "channels");
  require_unet(options.classes, 1, "classes");
  require_unet(options.width, 1, "width");
  require_unet(options.levels, 1, "levels");
  GeneratorKept kept;  // LibTorch's modules draw from it when they are made; that is replaced
  register_module("down", down_);
  register_module("reduce", reduce_);
  register_module("up", up_);
  std::int64_t in = options.channels;
  for (std::int64_t level = 0; level < options.levels; ++level) {
    const std::int64_t width = options.width << level;
    down_->push_back(std::make_shared<TwoConvs>(in, width));
    if (level + 1 < options.levels) {
      reduce_->push_back(nn::ConvBnReLU(conv_options(2 * width, width, 1)));
      up_->push_back(std::make_shared<TwoConvs>(2 * width, width));
    }
    in = width;
  }
  head_ = register_module("head",
                          nn::Conv2d(torch::nn::Conv2dOptions(options.width, options.classes, 1)));
  initialise_layers(*this, options.seed, options.init);
}

at::Tensor UNet::forward(const at::Tensor& x) {
  if (x.dim() != 4 || x.size(1) != options_.channels || !x.is_floating_point() || x.numel() == 0) {
    std::ostringstream given;
    given << "an input " << x.sizes() << " of " << x.scalar_type();
    throw Error(given.str(),
                "(N, " + std::to_string(options_.channels) + ", H, W) of floating point", "unet");
  }
  at::Tensor h = network_input(x, head_->weight);
  std::vector<at::Tensor> skips;
  for (std::int64_t level = 0; level < options_.levels; ++level) {
    if (level > 0) h = pool_by_two(h, /*round_up=*/true);
    const auto convs = down_->ptr<TwoConvs>(static_cast<std::size_t>(level));
    h = run_block({convs}, h, [convs](const at::Tensor& in) { return convs->forward(in); });
    skips.push_back(h);
  }
  for (std::int64_t level = options_.levels - 2; level >= 0; --level) {
    const auto i = static_cast<std::size_t>(level);
    const auto reduce = reduce_->ptr<nn::ConvBnReLUImpl>(i);
    const auto convs = up_->ptr<TwoConvs>(i);
    const auto up = [reduce, convs, skip = skips[i]](const at::Tensor& in) {
      const at::Tensor larger = at::upsample_bilinear2d(
          reduce->forward(in), {skip.size(2), skip.size(3)}, /*align_corners=*/false);
      return convs->forward(at::cat({skip, larger}, 1));
    };
    h = run_block({reduce, convs}, h, up, {skips[i]});
  }
  return head_(h);
}

}  // namespace halftone::models
