#include "halftone/models/fast_net.h"

#include <torch/torch.h>

#include "tests/support/test.h"
#include "tests/support/tolerances.h"

namespace halftone::models {
namespace {

std::shared_ptr<FastNet> fast_net() {
  return std::dynamic_pointer_cast<FastNet>(make_network({.name = "fast", .seed = 3}));
}

at::Tensor whitened(FastNet& net, const at::Tensor& images) {
  const auto weights = net.named_parameters();
  return torch::conv2d(images, weights["whiten.weight"]);
}

TEST(FastNet, WhitenedPatchesAreUncorrelatedAndOfOneVariance) {
  torch::manual_seed(0);
  // Neighbouring pixels that are alike, as in photographs.
  const at::Tensor images = torch::avg_pool2d(torch::randn({64, 3, 34, 34}), 3, 1) * 3;
  const auto net = fast_net();
  net->whiten(images);
  const torch::NoGradGuard no_grad;
  const at::Tensor rows =
      whitened(*net, images).permute({0, 2, 3, 1}).flatten(0, 2).to(torch::kDouble);
  EXPECT_TRUE(rows.narrow(1, 0, 12).equal(-rows.narrow(1, 12, 12)));
  const at::Tensor half = rows.narrow(1, 0, 12);
  const at::Tensor covariance = half.t().mm(half) / half.size(0);
  // The 5e-4 under the root takes its share of the smallest eigenvalues, the last ones.
  EXPECT_TRUE(covariance.allclose(torch::diag(covariance.diag()), 0, tolerance::kFp32Network));
  EXPECT_GT(covariance.diag().min().item<double>(), 0.9);
  EXPECT_LE(covariance.diag().max().item<double>(), 1);
  EXPECT_TRUE(covariance.diag().diff().le(tolerance::kFp32Network).all().item<bool>())
      << "the largest eigenvalue first";
}

TEST(FastNet, WhiteningDependsOnTheImagesAlone) {
  const at::Tensor images = torch::rand({8, 3, 32, 32});
  const auto one = fast_net(), two = fast_net();
  one->whiten(images);
  two->whiten(images.contiguous(at::MemoryFormat::ChannelsLast));
  EXPECT_TRUE(one->named_parameters()["whiten.weight"].allclose(
      two->named_parameters()["whiten.weight"], tolerance::kFp32, tolerance::kFp32));
  two->whiten(torch::zeros({8, 3, 32, 32}));
  EXPECT_TRUE(two->named_parameters()["whiten.weight"].isfinite().all().item<bool>());
}

TEST(FastNet, ConvolutionsStartByPassingTheirInputOn) {
  const auto net = fast_net();
  const torch::NoGradGuard no_grad;
  const at::Tensor x = torch::randn({2, 64, 5, 5});
  const auto weights = net->named_parameters();
  const at::Tensor wide = torch::conv2d(x, weights["block2.conv1.weight"], {}, 1, 1);
  EXPECT_TRUE(wide.narrow(1, 0, 64).equal(x));
  EXPECT_FALSE(wide.narrow(1, 64, 64).equal(x));
  EXPECT_TRUE(torch::conv2d(wide, weights["block3.conv2.weight"], {}, 1, 1).equal(wide));
}

TEST(FastNet, TrainsNeitherWhiteningNorScales) {
  const auto net = fast_net();
  net->forward(torch::randn({4, 3, 32, 32})).sum().backward();
  for (const auto& item : net->named_parameters()) {
    const bool fixed = item.key() == "whiten.weight" || item.key().ends_with("norm1.weight") ||
                       item.key().ends_with("norm2.weight");
    EXPECT_EQ(item.value().grad().defined(), !fixed) << item.key();
  }
  net->zero_grad();
  net->train_whitening_bias(false);
  net->forward(torch::randn({4, 3, 32, 32})).sum().backward();
  EXPECT_FALSE(net->named_parameters()["whiten.bias"].grad().defined());
  EXPECT_TRUE(net->named_parameters()["block1.conv1.weight"].grad().defined());
}

}  // namespace
}  // namespace halftone::models
