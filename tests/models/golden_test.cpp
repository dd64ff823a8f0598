// The networks against the same networks written in Python PyTorch (tests/goldens/models.py).
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "halftone/base/file.h"
#include "halftone/base/json.h"
#include "halftone/models/network.h"
#include "tests/support/test.h"
#include "tests/support/tolerances.h"

namespace halftone::models {
namespace {

// As unit() in models.py.
at::Tensor unit(std::int64_t count, const std::string& name) {
  std::uint32_t key = 2166136261u;
  for (const unsigned char byte : name) key = (key ^ byte) * 16777619u;
  auto result = torch::empty({count}, torch::kDouble);
  auto* out = result.data_ptr<double>();
  for (std::int64_t i = 0; i < count; ++i) {
    std::uint32_t h = static_cast<std::uint32_t>(i) * 2654435761u + key;
    h ^= h >> 15;
    h *= 2246822519u;
    h ^= h >> 13;
    h *= 3266489917u;
    h ^= h >> 16;
    out[i] = static_cast<double>(h >> 8) / 0x1p23 - 1;
  }
  return result;
}

// As fill() in models.py.
at::Tensor fill(const std::string& name, at::IntArrayRef shape) {
  auto values = unit(c10::multiply_integers(shape), name);
  if (shape.size() >= 2) {
    values.mul_(std::sqrt(6.0 / static_cast<double>(c10::multiply_integers(shape.slice(1)))));
  } else if (name.ends_with("weight")) {
    values = values * 0.25 + 1;
  } else {
    values.mul_(0.1);
  }
  return values.to(torch::kFloat).reshape(shape);
}

std::shared_ptr<Network> filled_network(const Json& golden) {
  const auto side = golden.at("side").as_int();
  auto network = make_network(
      {.name = golden.at("name").as_string(),
       .channels = golden.at("channels").as_int(),
       .height = side,
       .width = side,
       .stem = golden.at("stem").as_string() == "cifar" ? Stem::cifar : Stem::imagenet});
  torch::NoGradGuard no_grad;
  for (auto& item : network->named_parameters()) {
    item.value().copy_(fill(item.key(), item.value().sizes()));
  }
  return network;
}

at::Tensor numbers(const Json& array) {
  std::vector<double> values;
  for (const auto& value : array.as_array()) values.push_back(value.as_double());
  return torch::tensor(values, torch::kDouble);
}

// The largest difference, relative to the largest value.
double difference(const at::Tensor& given, const at::Tensor& expected) {
  const auto error = (given.detach().to(torch::kDouble).flatten() - expected).abs().max();
  return (error / expected.abs().max()).item<double>();
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

void check_gradients(const Network& network, const Json& golden) {
  const auto& expected = golden.at("gradients");
  std::size_t seen = 0;
  for (const auto& item : network.named_parameters()) {
    const auto* pair = expected.find(item.key());
    ASSERT_NE(pair, nullptr) << item.key();
    const auto gradient = item.value().grad().contiguous().flatten();
    const double norm = pair->as_array()[0].as_double();
    const double dot = (gradient * unit(gradient.numel(), "probe")).sum().item<double>();
    EXPECT_NEAR(gradient.norm().item<double>(), norm, tolerance::kFp64Network * norm) << item.key();
    EXPECT_NEAR(dot, pair->as_array()[1].as_double(), tolerance::kFp64Network * norm) << item.key();
    ++seen;
  }
  EXPECT_EQ(seen, expected.as_object().size());
}

const Json& goldens() {
  static const Json all =
      Json::parse(read_file(HALFTONE_SOURCE_DIR "/tests/goldens/models.json"), "models.json");
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
