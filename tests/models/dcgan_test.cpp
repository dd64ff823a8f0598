// The DCGAN against Python PyTorch (tests/goldens/dcgan.py).
#include "halftone/models/dcgan.h"

#include "tests/models/golden.h"

namespace halftone::models {
namespace {

TEST(DcganGoldens, LossImagesScoresAndGradientsInFp64) {
  const Json golden = golden::read("dcgan.json");
  const std::int64_t batch = golden.at("batch").as_int(), latent = golden.at("latent").as_int();
  Dcgan net({.latent = latent, .width = golden.at("width").as_int()});
  golden::fill_parameters(net);
  net.to(torch::kDouble);
  const auto z = golden::unit(batch * latent, "latent").view({batch, latent});
  const auto images = net.generator()->forward(z);
  const auto& pair = golden.at("images").as_array();
  const double norm = pair[0].as_double(), near = tolerance::kFp64Network * norm;
  EXPECT_NEAR(images.norm().item<double>(), norm, near);
  EXPECT_NEAR((images.flatten() * golden::unit(images.numel(), "probe")).sum().item<double>(),
              pair[1].as_double(), near);
  const auto scores = net.discriminator()->forward(images);
  EXPECT_LT(golden::difference(scores, golden::numbers(golden.at("scores"))),
            tolerance::kFp64Network);
  const auto loss = torch::softplus(-scores).mean();
  EXPECT_NEAR(loss.item<double>(), golden.at("loss").as_double(), tolerance::kFp64Network);
  loss.backward();
  golden::check_gradients(net, golden);
}

TEST(Dcgan, DependsOnTheSeedAloneAndBeginsAsThePaperSays) {
  const auto z = torch::ones({2, 64});
  DcganOptions options;
  const auto images = Dcgan(options).generator()->forward(z);
  EXPECT_EQ(images.sizes(), at::IntArrayRef({2, 1, 28, 28}));
  EXPECT_TRUE(torch::equal(Dcgan(options).generator()->forward(z), images));
  options.seed = 1;
  EXPECT_FALSE(torch::equal(Dcgan(options).generator()->forward(z), images));
  Dcgan net(options);
  const auto parameters = net.named_parameters();
  EXPECT_NEAR(parameters["generator.fc.weight"].std().item<double>(), 0.02, 0.001);
  EXPECT_NEAR(parameters["generator.norm1.weight"].mean().item<double>(), 1, 0.01);
}

TEST(Dcgan, WhatDoesNotFitIsAnErrorWithGivenAndExpected) {
  Dcgan net(DcganOptions{});
  EXPECT_ERROR(net.generator()->forward(torch::zeros({2, 63})),
               "dcgan generator: [2, 63] of Float; expected N times [64]");
  EXPECT_ERROR(net.discriminator()->forward(torch::zeros({2, 1, 27, 28})), "dcgan discriminator");
  EXPECT_ERROR(Dcgan({.latent = 0}), "dcgan, latent: 0");
}

}  // namespace
}  // namespace halftone::models
