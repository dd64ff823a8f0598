// The networks against the same networks written in Python PyTorch (tests/goldens/models.py).
#include <torch/torch.h>

#include <string>

#include "halftone/models/network.h"
#include "tests/models/golden.h"

namespace halftone::models {
namespace {

using namespace golden;

std::shared_ptr<Network> filled_network(const Json& golden) {
  const auto side = golden.at("side").as_int();
  auto network = make_network(
      {.name = golden.at("name").as_string(),
       .channels = golden.at("channels").as_int(),
       .height = side,
       .width = side,
       .stem = golden.at("stem").as_string() == "cifar" ? Stem::cifar : Stem::imagenet});
  fill_parameters(*network);
  for (const auto& module : network->modules()) {  // which is random: Python has none
    if (auto* dropout = module->as<torch::nn::DropoutImpl>()) dropout->options.p(0);
  }
  return network;
}

struct Pass {
  at::Tensor logits, loss, evaluated;
};

Pass run(Network& network, const Json& golden, torch::Dtype format) {
  const auto side = golden.at("side").as_int(), channels = golden.at("channels").as_int();
  const auto x = unit(4 * channels * side * side, "input").reshape({4, channels, side, side});
  Pass pass;
  network.to(format);
  network.train();
  pass.logits = network.forward(x.to(format));
  pass.loss = torch::cross_entropy_loss(pass.logits, torch::arange(4) * 7 % 10);
  pass.loss.backward();
  network.eval();
  torch::NoGradGuard no_grad;
  pass.evaluated = network.forward(x.to(format));
  return pass;
}

const Json& goldens() {
  static const Json all = golden::read("models.json");
  return all;
}

std::string title(const Json& golden) {
  return golden.at("name").as_string() + ", " + golden.at("stem").as_string() + " stem";
}

TEST(ModelGoldens, LossLogitsAndGradientsInFp64) {
  for (const auto& golden : goldens().as_array()) {
    SCOPED_TRACE(title(golden));
    auto network = filled_network(golden);
    const auto pass = run(*network, golden, torch::kDouble);
    EXPECT_NEAR(pass.loss.item<double>(), golden.at("loss").as_double(), tolerance::kFp64Network);
    EXPECT_LT(difference(pass.logits, numbers(golden.at("logits"))), tolerance::kFp64Network);
    EXPECT_LT(difference(pass.evaluated, numbers(golden.at("evaluated"))), tolerance::kFp64Network);
    check_gradients(*network, golden);
  }
}

TEST(ModelGoldens, LossAndLogitsInFp32) {
  for (const auto& golden : goldens().as_array()) {
    SCOPED_TRACE(title(golden));
    auto network = filled_network(golden);
    const auto pass = run(*network, golden, torch::kFloat);
    const double loss = golden.at("loss").as_double();
    EXPECT_NEAR(pass.loss.item<double>(), loss, tolerance::kFp32Network * loss);
    EXPECT_LT(difference(pass.logits, numbers(golden.at("logits"))), tolerance::kFp32Network);
  }
}

}  // namespace
}  // namespace halftone::models
