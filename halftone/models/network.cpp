#include "halftone/models/network.h"

#include <algorithm>
#include <sstream>

#include "halftone/base/error.h"
#include "halftone/base/text.h"
#include "halftone/models/fast_net.h"
#include "halftone/models/layers.h"
#include "halftone/models/mobilenet_v2.h"
#include "halftone/models/resnet.h"
#include "halftone/models/resnet9.h"
#include "halftone/models/small.h"
#include "halftone/ops/generator.h"

namespace halftone::models {
namespace {

std::string shape_text(std::int64_t channels, std::int64_t height, std::int64_t width) {
  return std::to_string(channels) + "x" + std::to_string(height) + "x" + std::to_string(width);
}

// The smallest side that leaves at least one value after every pool.
std::int64_t least_side(const NetworkOptions& options) {
  if (options.name == "fast") return 9;
  if (options.name != "cnn") return 1;
  return options.stem == Stem::cifar ? 4 : 5;
}

void check(const NetworkOptions& o) {
  const auto names = network_names();
  if (std::find(names.begin(), names.end(), o.name) == names.end()) {
    throw UsageError(quote(o.name), choices(o.name, names), "model");
  }
  const auto least = least_side(o);
  if (o.channels < 1 || o.height < least || o.width < least) {
    throw UsageError("images of " + shape_text(o.channels, o.height, o.width),
                     "at least " + shape_text(1, least, least), "model " + o.name);
  }
  if (o.classes < 1) throw UsageError(std::to_string(o.classes) + " classes", "at least 1", o.name);
}

std::shared_ptr<Network> construct(const NetworkOptions& options) {
  if (options.name == "mlp") return std::make_shared<Mlp>(options);
  if (options.name == "cnn") return std::make_shared<Cnn>(options);
  if (options.name == "fast") return std::make_shared<FastNet>(options);
  if (options.name == "mobilenet-v2") return std::make_shared<MobileNetV2>(options);
  if (options.name == "resnet9") return std::make_shared<ResNet9>(options);
  if (options.name == "resnet9-narrow") return std::make_shared<ResNet9>(options, 16);
  if (options.name == "resnet18") {
    return std::make_shared<ResNet18>(options, std::array<int, 4>{2, 2, 2, 2});
  }
  return std::make_shared<ResNet50>(options, std::array<int, 4>{3, 4, 6, 3});
}

}  // namespace

std::int64_t Network::parameter_count() const {
  std::int64_t count = 0;
  for (const auto& parameter : parameters()) count += parameter.numel();
  return count;
}

void Network::initialise(std::uint64_t seed, Format format) {
  initialise_layers(*this, seed, format);
}

at::Tensor Network::prepare(const at::Tensor& x, const at::Tensor& weight,
                            std::int64_t total_stride) const {
  const auto given = [&x] {
    std::ostringstream text;
    text << "an input " << x.sizes() << " of " << x.scalar_type();
    return text.str();
  };
  const auto& o = options_;
  bool fits = x.dim() == 4 && x.size(1) == o.channels && x.is_floating_point();
  fits = fits && (total_stride ? x.size(2) >= o.height && x.size(3) >= o.width
                               : x.size(2) == o.height && x.size(3) == o.width);
  if (!fits) {
    throw Error(given(),
                "(N, C, H, W) of floating point, images of " +
                    shape_text(o.channels, o.height, o.width) + (total_stride ? " or larger" : ""),
                "model " + o.name);
  }
  if (total_stride && is_training() && x.size(0) == 1 && x.size(2) <= total_stride &&
      x.size(3) <= total_stride) {
    throw Error(given(),
                "at least 2 images while training: the last maps are 1x1 and batch " +
                    std::string("normalisation needs more than one value"),
                "model " + o.name);
  }
  return network_input(x, weight);
}

std::vector<std::string> network_names() {
  return {"mlp",      "cnn",     "fast", "mobilenet-v2", "resnet9", "resnet9-narrow",
          "resnet18", "resnet50"};
}

std::shared_ptr<Network> make_network(const NetworkOptions& options) {
  check(options);
  GeneratorKept kept;  // LibTorch's modules draw from it when they are made; that is replaced
  auto network = construct(options);
  network->initialise(options.seed, options.init);
  return network;
}

}  // namespace halftone::models
