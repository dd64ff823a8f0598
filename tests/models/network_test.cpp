#include "halftone/models/network.h"

#include <torch/torch.h>

#include <algorithm>
#include <set>
#include <string>

#include "tests/support/test.h"

namespace halftone::models {
namespace {

std::vector<std::string> parameter_names(const Network& network) {
  return network.named_parameters().keys();
}

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool equal_weights(const Network& a, const Network& b) {
  const auto first = a.parameters(), second = b.parameters();
  return std::equal(first.begin(), first.end(), second.begin(), second.end(),
                    [](const at::Tensor& x, const at::Tensor& y) { return x.equal(y); });
}

TEST(Networks, ResNetsHaveThePublishedNumberOfParameters) {
  NetworkOptions options{
      .name = "resnet18", .height = 224, .width = 224, .classes = 1000, .stem = Stem::imagenet};
  EXPECT_EQ(make_network(options)->parameter_count(), 11'689'512);
  options.name = "resnet50";
  EXPECT_EQ(make_network(options)->parameter_count(), 25'557'032);
}

TEST(Networks, ResNetsHaveTorchvisionsNames) {
  const auto basic = make_network({.name = "resnet18"});
  const auto names = parameter_names(*basic);
  for (const char* name :
       {"conv1.weight", "bn1.bias", "layer1.0.conv1.weight", "layer2.0.downsample.0.weight",
        "layer2.0.downsample.1.weight", "layer4.1.bn2.weight", "fc.weight", "fc.bias"}) {
    EXPECT_TRUE(has(names, name)) << name;
  }
  EXPECT_FALSE(has(names, "layer1.0.downsample.0.weight"));
  EXPECT_EQ(names.size(), 62u);
  EXPECT_TRUE(basic->named_buffers().contains("layer4.1.bn2.num_batches_tracked"));
  const auto deep = parameter_names(*make_network({.name = "resnet50"}));
  EXPECT_TRUE(has(deep, "layer1.0.downsample.0.weight"));
  EXPECT_TRUE(has(deep, "layer3.5.conv3.weight"));
  EXPECT_EQ(deep.size(), 161u);
}

TEST(Networks, MobileNetV2HasTorchvisionsNamesAndSize) {
  const auto network = make_network({.name = "mobilenet-v2",
                                     .height = 224,
                                     .width = 224,
                                     .classes = 1000,
                                     .stem = Stem::imagenet});
  EXPECT_EQ(network->parameter_count(), 3'504'872);
  const auto names = parameter_names(*network);
  for (const char* name :
       {"features.0.0.weight", "features.0.1.bias", "features.1.conv.0.0.weight",
        "features.1.conv.1.weight", "features.1.conv.2.bias", "features.17.conv.1.0.weight",
        "features.17.conv.3.weight", "features.18.1.weight", "classifier.1.bias"}) {
    EXPECT_TRUE(has(names, name)) << name;
  }
  EXPECT_EQ(names.size(), 158u);
  EXPECT_TRUE(network->named_buffers().contains("features.2.conv.0.1.running_var"));
}

TEST(Networks, EachTakesBothDataSetsWithBothStems) {
  torch::NoGradGuard no_grad;
  for (const auto& name : network_names()) {
    for (const Stem stem : {Stem::cifar, Stem::imagenet}) {
      for (const auto& [channels, side] : {std::pair{1, 28}, std::pair{3, 32}}) {
        SCOPED_TRACE(name + " " + std::to_string(side));
        auto network = make_network(
            {.name = name, .channels = channels, .height = side, .width = side, .stem = stem});
        network->eval();
        const auto logits = network->forward(torch::ones({1, channels, side, side}));
        EXPECT_EQ(logits.sizes(), (std::vector<std::int64_t>{1, 10}));
        EXPECT_TRUE(logits.isfinite().all().item<bool>());
      }
    }
  }
}

TEST(Networks, WeightsAreChannelsLast) {
  for (const char* name : {"cnn", "resnet9", "resnet18"}) {
    const auto network = make_network({.name = name});
    for (const auto& item : network->named_parameters()) {
      if (item.value().dim() != 4) continue;
      EXPECT_TRUE(item.value().is_contiguous(at::MemoryFormat::ChannelsLast)) << item.key();
      EXPECT_TRUE(item.value().requires_grad());
    }
  }
}

TEST(Networks, TheMemoryFormatOfTheInputDoesNotMatter) {
  torch::NoGradGuard no_grad;
  const auto x = torch::rand({2, 3, 32, 32});
  for (const char* name : {"mlp", "cnn"}) {
    const auto network = make_network({.name = name});
    network->eval();
    EXPECT_TRUE(
        network->forward(x).equal(network->forward(x.contiguous(at::MemoryFormat::ChannelsLast))));
  }
}

TEST(Networks, WeightsDependOnTheSeedAlone) {
  torch::manual_seed(1);
  const auto first = make_network({.name = "cnn", .seed = 7});
  const auto drawn = torch::rand({1}).item<float>();
  torch::manual_seed(1);
  EXPECT_EQ(torch::rand({1}).item<float>(), drawn) << "the global generator was moved";
  EXPECT_TRUE(equal_weights(*first, *make_network({.name = "cnn", .seed = 7})));
  EXPECT_FALSE(equal_weights(*first, *make_network({.name = "cnn", .seed = 8})));
  const auto precise = make_network({.name = "cnn", .seed = 7, .init = Format::fp64});
  EXPECT_FALSE(equal_weights(*first, *precise));  // other draws
  EXPECT_EQ(precise->parameters()[0].scalar_type(), torch::kFloat);
}

TEST(Networks, LogitsStartSmall) {
  torch::NoGradGuard no_grad;
  torch::manual_seed(0);
  for (const auto& name : network_names()) {
    const auto network = make_network({.name = name});
    const double size = network->forward(torch::randn({2, 3, 32, 32})).abs().mean().item<double>();
    EXPECT_GT(size, 0.005) << name;
    EXPECT_LT(size, 3) << name;
  }
}

TEST(Networks, HalfWeightsTakeFp32Images) {
  torch::NoGradGuard no_grad;
  const auto network = make_network({.name = "cnn"});
  network->to(torch::kBFloat16);
  EXPECT_EQ(network->forward(torch::ones({1, 3, 32, 32})).scalar_type(), torch::kBFloat16);
}

TEST(Networks, ResNetsTakeLargerImages) {
  torch::NoGradGuard no_grad;
  const auto network = make_network({.name = "resnet18"});
  EXPECT_EQ(network->forward(torch::ones({2, 3, 40, 48})).size(1), 10);
}

TEST(Networks, InputThatDoesNotFitIsAnError) {
  const auto network = make_network({.name = "mlp", .channels = 1, .height = 28, .width = 28});
  EXPECT_ERROR(network->forward(torch::ones({2, 3, 28, 28})), "images of 1x28x28");
  EXPECT_ERROR(network->forward(torch::ones({2, 1, 32, 32})), "an input [2, 1, 32, 32]");
  EXPECT_ERROR(network->forward(torch::ones({1, 28, 28})), "(N, C, H, W)");
  EXPECT_ERROR(network->forward(torch::ones({2, 1, 28, 28}, torch::kByte)), "floating point");
  const auto residual = make_network({.name = "resnet18", .stem = Stem::imagenet});
  EXPECT_ERROR(residual->forward(torch::ones({2, 3, 28, 28})), "or larger");
  EXPECT_ERROR(residual->forward(torch::ones({1, 3, 32, 32})), "at least 2 images");
  residual->eval();
  EXPECT_EQ(residual->forward(torch::ones({1, 3, 32, 32})).size(0), 1);
}

TEST(Networks, AnUnknownNameOrShapeIsAUsageError) {
  EXPECT_ERROR(make_network({.name = "resnet81"}), "did you mean \"resnet18\"");
  EXPECT_ERROR(make_network({.name = "cnn", .height = 3}), "at least 1x4x4");
  EXPECT_ERROR(make_network({.name = "mlp", .classes = 0}), "0 classes");
  EXPECT_ERROR(make_network({.name = "mlp", .channels = 0}), "images of 0x32x32");
  try {
    make_network({.name = "transformer"});
    FAIL() << "nothing was thrown";
  } catch (const UsageError&) {
  }
}

}  // namespace
}  // namespace halftone::models
