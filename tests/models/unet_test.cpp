// UNet against the same network written in Python PyTorch (tests/goldens/unet.py).
#include "halftone/models/unet.h"

#include "halftone/precision/autocast.h"
#include "tests/models/golden.h"

namespace halftone::models {
namespace {

using torch::indexing::None;
using torch::indexing::Slice;

std::vector<std::int64_t> unet_shape(const Json& golden) {
  std::vector<std::int64_t> shape;
  for (const Json& extent : golden.at("shape").as_array()) shape.push_back(extent.as_int());
  return shape;
}

std::shared_ptr<UNet> filled_unet(const Json& golden) {
  auto network = std::make_shared<UNet>(UNetOptions{.channels = golden.at("channels").as_int(),
                                                    .classes = golden.at("classes").as_int(),
                                                    .width = golden.at("width").as_int(),
                                                    .levels = golden.at("levels").as_int()});
  golden::fill_parameters(*network);
  return network;
}

at::Tensor sampled(const at::Tensor& maps) {
  return maps.index({Slice(), Slice(), Slice(None, None, 4), Slice(None, None, 5)}).contiguous();
}

TEST(UNetGoldens, LossLogitsAndGradientsInFp64) {
  const Json golden = golden::read("unet.json");
  const auto shape = unet_shape(golden);
  auto network = filled_unet(golden);
  network->to(torch::kDouble);
  const auto x = golden::unit(c10::multiply_integers(shape), "input").reshape(shape);
  const auto pixels = shape[0] * shape[2] * shape[3];
  const auto target = (torch::arange(pixels) * 7 % golden.at("classes").as_int())
                          .reshape({shape[0], shape[2], shape[3]});
  const auto logits = network->forward(x);
  const auto loss = torch::cross_entropy_loss(logits, target);
  EXPECT_NEAR(loss.item<double>(), golden.at("loss").as_double(), tolerance::kFp64Network);
  EXPECT_NEAR(logits.norm().item<double>() / golden.at("norm").as_double(), 1,
              tolerance::kFp64Network);
  EXPECT_LT(golden::difference(sampled(logits), golden::numbers(golden.at("logits"))),
            tolerance::kFp64Network);
  loss.backward();
  golden::check_gradients(*network, golden);
  network->eval();
  EXPECT_LT(
      golden::difference(sampled(network->forward(x)), golden::numbers(golden.at("evaluated"))),
      tolerance::kFp64Network);
}

TEST(UNet, WeightsDependOnTheSeedAlone) {
  const auto weights = [](std::uint64_t seed) {
    std::vector<at::Tensor> flat;
    for (const auto& parameter :
         UNet(UNetOptions{.width = 4, .levels = 2, .seed = seed}).parameters()) {
      flat.push_back(parameter.detach().flatten());
    }
    return at::cat(flat);
  };
  torch::manual_seed(5);
  const auto first = weights(1);
  torch::manual_seed(6);
  EXPECT_TRUE(at::equal(first, weights(1)));
  EXPECT_FALSE(at::equal(first, weights(2)));
}

TEST(UNet, WhatDoesNotFitIsAnErrorWithGivenAndExpected) {
  UNet network(UNetOptions{.width = 4, .levels = 3});
  EXPECT_ERROR(network.forward(torch::zeros({1, 4, 8, 8})),
               "unet: an input [1, 4, 8, 8] of Float; expected (N, 3, H, W)");
  EXPECT_ERROR(network.forward(torch::zeros({3, 8, 8})), "an input [3, 8, 8]");
  EXPECT_ERROR(network.forward(torch::zeros({1, 3, 8, 8}, torch::kLong)), "of Long");
  EXPECT_ERROR(UNet(UNetOptions{.levels = 0}), "unet, levels: 0; expected 1 or more");
  EXPECT_ERROR(UNet(UNetOptions{.width = 0}), "unet, width: 0");
}

TEST(UNet, TakesImagesOfAnySize) {
  UNet network(UNetOptions{.width = 4, .levels = 4});
  network.eval();
  EXPECT_EQ(network.forward(torch::zeros({1, 3, 1, 1})).sizes(), at::IntArrayRef({1, 2, 1, 1}));
  EXPECT_EQ(network.forward(torch::zeros({1, 3, 9, 17})).sizes(), at::IntArrayRef({1, 2, 9, 17}));
}

}  // namespace
}  // namespace halftone::models
