#include "halftone/numerics/precision_probe.h"

#include <torch/torch.h>

#include <cmath>

#include "halftone/numerics/precision_advice.h"
#include "halftone/ops/generator.h"
#include "halftone/precision/apply.h"
#include "tests/support/test.h"
#include "tests/support/tolerances.h"

namespace halftone::numerics {
namespace {

struct ProbedNet : torch::nn::Module {
  ProbedNet() {
    torch::manual_seed(3);
    first = register_module("first", torch::nn::Linear(24, 32));
    norm = register_module("norm", torch::nn::BatchNorm1d(32));
    dropout = register_module("dropout", torch::nn::Dropout(0.5));
    last = register_module("last", torch::nn::Linear(32, 8));
    halftone::apply(Policy::preset("fp32"), *this);
    for (int i = 0; i < 2; ++i) batches.push_back(torch::randn({16, 24}));
  }
  at::Tensor loss(std::size_t batch) {
    const at::Tensor y = last(dropout(torch::relu(norm(first(batches[batch])))));
    return y.square().mean();
  }
  PrecisionProbe probe() {
    return {*this, batches.size(), [this](std::size_t batch) { return loss(batch); }};
  }
  torch::nn::Linear first{nullptr}, last{nullptr};
  torch::nn::BatchNorm1d norm{nullptr};
  torch::nn::Dropout dropout{nullptr};
  std::vector<at::Tensor> batches;
};

std::vector<LoweredOperation> probed_operations() {
  return {{.parameter = "first.weight", .operation = "linear", .input = {}, .weight = {}},
          {.parameter = "last.weight", .operation = "linear", .input = {}, .weight = {}}};
}

TEST(PrecisionProbe, ErrorsAreThoseOfTheFormats) {
  ProbedNet net;
  PrecisionProbe probe = net.probe();
  torch::rand({3});  // the generator has moved on
  const PrecisionError none = probe.measure(Policy::preset("fp32"));
  EXPECT_EQ(none.loss, 0.0);  // dropout drew the same
  EXPECT_EQ(none.gradient, 0.0);
  const PrecisionError bf16 = probe.measure(Policy::preset("bf16"));
  const PrecisionError fp16 = probe.measure(Policy::preset("fp16"));
  // A few roundings in a row, of three bits more in fp16.
  EXPECT_GT(bf16.gradient, 0.2 * tolerance::kBf16Unit);
  EXPECT_LT(bf16.gradient, 10 * tolerance::kBf16Unit);
  EXPECT_GT(bf16.gradient, 4 * fp16.gradient);
  EXPECT_LT(bf16.gradient, 16 * fp16.gradient);
  EXPECT_NEAR(bf16.gradient_snr_db(), -20 * std::log10(bf16.gradient), 1e-9);
}

TEST(PrecisionProbe, ErrorsOfOperationsLoweredAloneAddInSquares) {
  ProbedNet net;
  PrecisionProbe probe = net.probe();
  const auto operations = probed_operations();
  double squares = 0;
  for (std::size_t i = 0; i < operations.size(); ++i) {
    const double alone = probe.measure(lowered_alone(operations, i, Format::bf16)).gradient;
    EXPECT_GT(alone, 0.0) << i;
    squares += alone * alone;
  }
  const double together = probe.measure(Policy::preset("bf16")).gradient;
  EXPECT_GT(std::sqrt(squares), together / 2);  // roundings that both share count twice
  EXPECT_LT(std::sqrt(squares), together * 2);
}

TEST(PrecisionProbe, LeavesEverythingAsItWas) {
  ProbedNet net;
  const auto before = net.norm->running_mean.clone();
  net.first->weight.mutable_grad() = torch::ones_like(net.first->weight);
  const at::Tensor generator = generator_state();
  PrecisionProbe probe = net.probe();
  probe.measure(Policy::preset("bf16"));
  EXPECT_TRUE(torch::equal(net.norm->running_mean, before));
  EXPECT_TRUE(torch::equal(generator_state(), generator));
  EXPECT_TRUE(torch::equal(net.first->weight.grad(), torch::ones_like(net.first->weight)));
  EXPECT_TRUE(!net.last->weight.grad().defined());
}

TEST(PrecisionProbe, FindsTheLossScaleUnderWhichNothingOverflows) {
  torch::nn::Linear layer(4, 4);
  halftone::apply(Policy::preset("fp32"), *layer);
  const at::Tensor x = torch::ones({1, 4});
  PrecisionProbe probe(*layer, 1, [&](std::size_t) { return 1000 * layer(x).sum(); });
  const Policy fp16 = Policy::preset("fp16");
  // The gradient that comes back to the layer is 1000 times the scale; fp16 ends at 65504.
  EXPECT_EQ(probe.find_loss_scale(fp16, 65536), 64.0);
  EXPECT_TRUE(std::isinf(probe.measure(fp16, 128).gradient));
  EXPECT_LT(probe.measure(fp16, 64).gradient, 1e-3);
  PrecisionProbe steep(*layer, 1, [&](std::size_t) { return 1e6 * layer(x).sum(); });
  EXPECT_EQ(steep.find_loss_scale(fp16, 65536), 0.0);
}

TEST(PrecisionProbe, NoiseIsWhatDiffersFromBatchToBatch) {
  torch::nn::Linear layer(torch::nn::LinearOptions(4, 1).bias(false));
  const auto noise = [&](double second) {
    const PrecisionProbe probe(*layer, 2, [&](std::size_t batch) {
      return layer(torch::full({1, 4}, batch == 0 ? 1.0 : second)).sum();
    });
    return probe.batch_noise();
  };
  EXPECT_NEAR(noise(1), 0, 1e-3);
  EXPECT_NEAR(noise(-1), std::sqrt(2), 1e-6);  // variance 2, mean square 1
  EXPECT_NEAR(noise(3), std::sqrt(2.0 / 5), 1e-6);
}

TEST(PrecisionProbe, RefusesWhatCannotBeMeasured) {
  const torch::nn::Module empty("Empty");
  EXPECT_ERROR(PrecisionProbe(empty, 1, [](std::size_t) { return at::Tensor(); }),
               "a module without parameters");
  torch::nn::Linear layer(4, 1);
  const auto not_finite = [&](std::size_t) { return layer(torch::full({1, 4}, NAN)).sum(); };
  EXPECT_ERROR(PrecisionProbe(*layer, 0, not_finite), "0; expected 1 or more");
  EXPECT_ERROR(PrecisionProbe(*layer, 1, not_finite),
               "batch 1: a loss or gradient in fp32 that is not finite");
}

}  // namespace
}  // namespace halftone::numerics
