// 200 steps against Python's torch.optim (tests/goldens/optim.py).
#include <torch/serialize.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <sstream>

#include "halftone/optim/adam.h"
#include "halftone/optim/adamw.h"
#include "halftone/optim/sgd.h"
#include "halftone/scaling/scaled_optimizer.h"
#include "tests/optim/lcg.h"
#include "tests/support/test.h"
#include "tests/support/tolerances.h"

namespace halftone::optim {
namespace {

const std::string kGoldens = std::string(HALFTONE_SOURCE_DIR) + "/tests/goldens/";
constexpr int kSteps = 200;

using Weights = std::vector<at::Tensor>;
using Build = std::function<std::unique_ptr<MasterOptimizer>(const Weights&)>;

template <class Optimizer, class Options>
Build one(Options options) {
  return [options](const Weights& w) { return std::make_unique<Optimizer>(w, options); };
}

template <class Optimizer, class Options>
Build two(Options first, Options second) {
  return [=](const Weights& w) {
    std::vector<torch::optim::OptimizerParamGroup> groups = {group(Weights{w[0], w[1]}, first),
                                                             group(Weights{w[2]}, second)};
    return std::make_unique<Optimizer>(groups);
  };
}

std::map<std::string, Build> cases() {
  return {
      {"sgd", one<SGD>(SGDOptions{.lr = 1e-2})},
      {"sgd_momentum", one<SGD>(SGDOptions{.lr = 1e-3, .momentum = 0.9})},
      {"sgd_dampening", one<SGD>(SGDOptions{.lr = 1e-3, .momentum = 0.9, .dampening = 0.3})},
      {"sgd_nesterov_decay",
       one<SGD>(SGDOptions{.lr = 1e-3, .momentum = 0.9, .weight_decay = 1e-2, .nesterov = true})},
      {"sgd_two_groups", two<SGD>(SGDOptions{.lr = 1e-3, .momentum = 0.9},
                                  SGDOptions{.lr = 1e-2, .momentum = 0.9, .weight_decay = 1e-3})},
      {"adam", one<Adam>(AdamOptions{.lr = 1e-3})},
      {"adam_decay",
       one<Adam>(AdamOptions{.lr = 1e-3, .betas = {0.8, 0.99}, .weight_decay = 1e-2})},
      {"adam_amsgrad", one<Adam>(AdamOptions{.lr = 1e-3, .amsgrad = true})},
      {"adamw", one<AdamW>(AdamWOptions{.lr = 1e-3})},
      {"adamw_decay", one<AdamW>(AdamWOptions{.lr = 1e-3, .eps = 1e-6, .weight_decay = 0.1})},
      {"adamw_amsgrad", one<AdamW>(AdamWOptions{.lr = 1e-3, .amsgrad = true})},
      {"adamw_two_groups",
       two<AdamW>(AdamWOptions{.lr = 1e-3}, AdamWOptions{.lr = 2e-3, .weight_decay = 0})},
  };
}

std::map<std::string, std::vector<float>> goldens() {
  std::map<std::string, std::vector<float>> result;
  std::ifstream file(kGoldens + "optim.txt");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    for (float value; words >> value;) result[name].push_back(value);
  }
  return result;
}

double worst_relative(const Weights& weights, const std::vector<float>& golden) {
  double worst = 0;
  std::size_t i = 0;
  for (const at::Tensor& each : weights) {
    const at::Tensor flat = each.detach().contiguous().flatten();
    for (std::int64_t k = 0; k < flat.numel(); ++k, ++i) {
      const double expected = golden.at(i);
      worst = std::max(worst,
                       std::abs(flat.const_data_ptr<float>()[k] - expected) / std::abs(expected));
    }
  }
  EXPECT_EQ(i, golden.size());
  return worst;
}

TEST(OptimizerGoldens, TwoHundredStepsEndWherePyTorchEnds) {
  const auto expected = goldens();
  ASSERT_EQ(expected.size(), cases().size());
  for (const auto& [name, build] : cases()) {
    Lcg random(1);
    const Weights weights = golden_weights(random);
    const auto optimizer = build(weights);
    for (int step = 0; step < kSteps; ++step) {
      set_gradients(random, weights);
      optimizer->step();
    }
    ASSERT_TRUE(expected.count(name)) << name;
    EXPECT_LT(worst_relative(weights, expected.at(name)), tolerance::kTrajectory) << name;
  }
}

// Scaling by a power of two changes no bit, so that the scaled steps end there too.
TEST(OptimizerGoldens, ScaledStepsEndThereToo) {
  const auto expected = goldens();
  for (const auto& [name, build] : cases()) {
    Lcg random(1);
    const Weights weights = golden_weights(random);
    const auto optimizer = build(weights);
    for (int step = 0; step < kSteps; ++step) {
      set_gradients(random, weights);
      for (const at::Tensor& each : weights) each.mutable_grad().mul_(65536);
      const GradientCheck check = optimizer->check_gradients();
      ASSERT_TRUE(check.finite());
      optimizer->scaled_step(1.0 / 65536, check);
    }
    EXPECT_LT(worst_relative(weights, expected.at(name)), tolerance::kTrajectory) << name;
  }
}

TEST(OptimizerGoldens, PythonsStateContinuesHere) {
  std::ifstream file(kGoldens + "optim_adamw.pt", std::ios::binary);
  const std::vector<char> bytes((std::istreambuf_iterator<char>(file)), {});
  const auto saved = torch::pickle_load(bytes).toGenericDict();
  Lcg random(1);
  const Weights weights = golden_weights(random);
  const auto optimizer = two<AdamW>(AdamWOptions{}, AdamWOptions{})(weights);
  optimizer->load_torch_state_dict(saved.at("state"));
  for (int step = 0; step < 10; ++step) set_gradients(random, weights);
  const auto list = saved.at("weights").toListRef();
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i].detach().copy_(list[i].toTensor());
  for (int step = 10; step < kSteps; ++step) {
    set_gradients(random, weights);
    optimizer->step();
  }
  EXPECT_LT(worst_relative(weights, goldens().at("adamw_two_groups")), tolerance::kTrajectory);
}

// What the C++ side writes, Python's optimizer takes and continues from.
TEST(OptimizerGoldens, PythonContinuesOurState) {
  const std::string python = std::string(HALFTONE_SOURCE_DIR) + "/.venv/bin/python";
  if (!std::ifstream(python)) GTEST_SKIP() << "no " << python;
  const std::string folder = std::string(HALFTONE_BUILD_DIR) + "/";
  Lcg random(1);
  const Weights weights = golden_weights(random);
  const auto optimizer = cases().at("adamw_two_groups")(weights);
  for (int step = 0; step < 10; ++step) {
    set_gradients(random, weights);
    optimizer->step();
  }
  c10::List<at::Tensor> plain;
  for (const at::Tensor& each : weights) plain.push_back(each.detach());
  auto all = make_state_dict();
  all.insert("state", optimizer->torch_state_dict());
  all.insert("weights", plain);
  const auto bytes = torch::pickle_save(all);
  std::ofstream(folder + "optim_from_cpp.pt", std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  std::ofstream(folder + "optim_from_cpp.py") << "import sys, torch\n"
                                              << "sys.path.insert(0, '" << kGoldens << "')\n"
                                              << R"(
import optim
saved = torch.load(sys.argv[1], weights_only=False)
weights, other, random = optim.run("adamw_two_groups", 10)
ours = [torch.nn.Parameter(weight.clone()) for weight in saved["weights"]]
kind, options, second = optim.CASES["adamw_two_groups"]
optimizer = optim.build(kind, dict(lr=7), dict(lr=8), ours)
optimizer.load_state_dict(saved["state"])
assert optimizer.state_dict()["state"][0].keys() == other.state_dict()["state"][0].keys()
missing = set(other.param_groups[0]) - set(optimizer.param_groups[0])
assert not missing, missing
for _ in range(20):
    for a, b in zip(ours, weights):
        a.grad = random.tensor(a.shape)
        b.grad = a.grad.clone()
    optimizer.step()
    other.step()
for a, b in zip(ours, weights):
    torch.testing.assert_close(a, b, rtol=1e-6, atol=0)
)";
  const std::string command =
      python + " " + folder + "optim_from_cpp.py " + folder + "optim_from_cpp.pt";
  EXPECT_EQ(std::system(command.c_str()), 0);
}

}  // namespace
}  // namespace halftone::optim
