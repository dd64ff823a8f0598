// Training on every rung: a narrow ResNet-9 in half follows fp32 step by step.
#include <torch/torch.h>

#include <cmath>
#include <string>
#include <vector>

#include "halftone/base/isa.h"
#include "halftone/kernels/batch_norm/batch_norm.h"
#include "halftone/kernels/product/product.h"
#include "halftone/nn/layers.h"
#include "halftone/ops/enable.h"
#include "halftone/optim/sgd.h"
#include "halftone/precision/apply.h"
#include "halftone/precision/autocast.h"
#include "halftone/scaling/grad_scaler.h"
#include "tests/support/test.h"
#include "tests/support/tolerances.h"

namespace halftone {
namespace {

constexpr std::size_t kFirst = 3;
constexpr std::int64_t kSteps = 50, kImages = 16, kSize = 8, kKinds = 10;

torch::nn::Conv2dOptions three_by_three(std::int64_t in, std::int64_t out) {
  return torch::nn::Conv2dOptions(in, out, 3).padding(1).bias(false);
}

// Page's ResNet-9 with an eighth of its channels.
struct NarrowResNet9 : torch::nn::Module {
  NarrowResNet9() {
    const auto add = [&](const char* name, std::int64_t in, std::int64_t out) {
      return register_module(name, nn::ConvBnReLU(three_by_three(in, out)));
    };
    prep = add("prep", 3, 8);
    layer1 = add("layer1", 8, 16);
    residual1a = add("residual1a", 16, 16);
    residual1b = add("residual1b", 16, 16);
    layer2 = add("layer2", 16, 32);
    layer3 = add("layer3", 32, 64);
    residual3a = add("residual3a", 64, 64);
    residual3b = add("residual3b", 64, 64);
    fc = register_module("fc", torch::nn::Linear(64, kKinds));
  }
  at::Tensor forward(const at::Tensor& x) {
    auto h = torch::max_pool2d(layer1(prep(x)), 2);
    h = h + residual1b(residual1a(h));
    h = torch::max_pool2d(layer2(h), 2);
    h = torch::max_pool2d(layer3(h), 2);
    h = h + residual3b(residual3a(h));
    return fc(torch::amax(h, {2, 3})) * 0.125;
  }
  nn::ConvBnReLU prep{nullptr}, layer1{nullptr}, layer2{nullptr}, layer3{nullptr};
  nn::ConvBnReLU residual1a{nullptr}, residual1b{nullptr}, residual3a{nullptr}, residual3b{nullptr};
  torch::nn::Linear fc{nullptr};
};

struct Batch {
  at::Tensor images, kinds;
};

// Each kind is a pattern of its own under noise of the same size.
std::vector<Batch> batches() {
  torch::manual_seed(3);
  const auto patterns = torch::randn({kKinds, 3, kSize, kSize});
  std::vector<Batch> all;
  for (std::int64_t i = 0; i < kSteps; ++i) {
    const auto kinds = torch::randint(kKinds, {kImages}, torch::kLong);
    const auto images = patterns.index_select(0, kinds) + torch::randn({kImages, 3, kSize, kSize});
    all.push_back({images.contiguous(at::MemoryFormat::ChannelsLast), kinds});
  }
  return all;
}

struct Course {
  std::vector<double> losses;       // of all steps
  std::vector<at::Tensor> updates;  // of each parameter, what the first steps added to it
};

// kSteps steps. shift: what each weight is first multiplied by, 1 + shift * N(0, 1).
Course train(const Policy& policy, double shift = 0, std::uint64_t seed = 0) {
  torch::manual_seed(7);
  NarrowResNet9 net;
  net.to(torch::kFloat);
  for (auto& each : net.parameters()) {
    const torch::NoGradGuard no_grad;
    if (each.dim() == 4) each.set_data(each.contiguous(at::MemoryFormat::ChannelsLast));
  }
  if (shift > 0) {
    const torch::NoGradGuard no_grad;
    torch::manual_seed(seed);
    for (auto& each : net.parameters()) each.mul_(1 + shift * torch::randn_like(each));
  }
  halftone::apply(policy, net);
  optim::SGDOptions options{.lr = 0.02, .momentum = 0.9, .nesterov = true};
  if (policy.weights != WeightStorage::fp32) options.storage = policy.weights;
  optim::SGD optimizer(net.parameters(), options);
  GradScaler scaler(policy.loss_scale);
  const auto weights = [&] {
    std::vector<at::Tensor> all;
    for (const auto& each : net.parameters()) {
      all.push_back(optimizer.master(each).detach().to(torch::kDouble, false, true));
    }
    return all;
  };
  const auto start = weights();
  Course course;
  for (const Batch& batch : batches()) {
    optimizer.zero_grad();
    const auto loss = [&] {
      const Autocast autocast(policy);
      return torch::nn::functional::cross_entropy(net.forward(batch.images), batch.kinds);
    }();
    scaler.scale(loss).backward();
    scaler.step(optimizer);
    scaler.update();
    course.losses.push_back(loss.item<double>());
    if (course.losses.size() == kFirst) course.updates = weights();
  }
  for (std::size_t i = 0; i < start.size(); ++i) course.updates[i] -= start[i];
  EXPECT_EQ(scaler.skipped_steps(), 0);
  return course;
}

struct Distance {
  double updates = 0;  // of the convolution whose first updates are longest or shortest, relative
  double losses = 0;   // root mean square over all steps, in which the updates' errors have grown
};

Distance distance(const Course& a, const Course& b) {
  Distance distance;
  for (std::size_t i = 0; i < a.updates.size(); ++i) {
    if (a.updates[i].dim() != 4) continue;  // sums over few numbers are noise
    const double along = (b.updates[i] * a.updates[i]).sum().item<double>() /
                         a.updates[i].square().sum().item<double>();
    distance.updates = std::max(distance.updates, std::abs(along - 1));
  }
  for (std::size_t i = 0; i < a.losses.size(); ++i) {
    distance.losses += (a.losses[i] - b.losses[i]) * (a.losses[i] - b.losses[i]);
  }
  distance.losses = std::sqrt(distance.losses / static_cast<double>(a.losses.size()));
  return distance;
}

std::uint64_t kernel_runs(Isa rung) {
  return kernels::product_ladder().runs(rung) + kernels::batch_norm_forward_ladder().runs(rung);
}

class OnEveryRung : public ::testing::TestWithParam<const char*> {};

// How far fp32 itself goes apart when its first weights are rounded as coarsely as the format
// rounds is the measure: a network in half is rounded at every tensor.
TEST_P(OnEveryRung, HalfFollowsFp32For50Steps) {
  const Policy policy = Policy::preset(GetParam());
  const double unit = policy.compute == Format::bf16 ? tolerance::kBf16Unit : tolerance::kFp16Unit;
  at::set_num_threads(1);  // operations this small only lose by a second thread
  const bool was_enabled = enabled();
  disable();
  const auto fp32 = train(Policy::preset("fp32"));
  Distance apart;
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    const auto one = distance(fp32, train(Policy::preset("fp32"), unit, seed));
    apart = {std::max(apart.updates, one.updates), std::max(apart.losses, one.losses)};
  }
  enable();
  ASSERT_LT(fp32.losses.back(), 0.6 * fp32.losses.front());
  const Isa before = isa();
  for (Isa rung : machine_isas()) {
    set_isa(rung);
    const auto runs = kernel_runs(rung);
    const Distance half = distance(fp32, train(policy));
    EXPECT_GT(kernel_runs(rung), runs) << isa_name(rung);
    EXPECT_LT(half.updates, tolerance::kTrainingApart * apart.updates) << isa_name(rung);
    EXPECT_LT(half.losses, tolerance::kTrainingApart * apart.losses) << isa_name(rung);
  }
  set_isa(before);
  if (!was_enabled) disable();
}

INSTANTIATE_TEST_SUITE_P(Policies, OnEveryRung,
                         ::testing::Values("bf16", "fp16", "bf16-master", "fp16-master"));

}  // namespace
}  // namespace halftone
