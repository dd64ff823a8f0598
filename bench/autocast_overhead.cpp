// What mixed precision costs beyond its arithmetic: Autocast, GradScaler and the optimizer's
// bookkeeping, on an MLP of 10 parameters so small that little else takes time. Four steps, taken
// in turn: fp32; the same casts and half arithmetic written by hand, once with LibTorch's optimizer
// and once with the bare pass over the parameters that Halftone's optimizer makes, called with
// numbers prepared beforehand; Halftone. The difference of the last two is the bookkeeping. On one
// thread: the cost is the calling thread's, and half matmuls would wake a thread pool for a matrix
// of 16 x 16.
#include <benchmark/benchmark.h>
#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "halftone/ops/optimizer_ops.h"
#include "halftone/optim/adamw.h"
#include "halftone/precision/apply.h"
#include "halftone/precision/autocast.h"
#include "halftone/scaling/grad_scaler.h"

namespace {

constexpr int kLayers = 5;  // a weight and a bias each
constexpr int kWidth = 16;
constexpr int kBatch = 8;

torch::nn::Sequential make_mlp() {
  torch::manual_seed(1);
  torch::nn::Sequential mlp;
  for (int i = 0; i < kLayers; ++i) mlp->push_back(torch::nn::Linear(kWidth, kWidth));
  return mlp;
}

double microseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start)
      .count();
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// fp32 by LibTorch alone.
struct PlainStep {
  torch::nn::Sequential mlp = make_mlp();
  torch::optim::AdamW optimizer{mlp->parameters(), torch::optim::AdamWOptions(1e-3)};

  void operator()(const at::Tensor& x, const at::Tensor& target) {
    optimizer.zero_grad();
    at::mse_loss(mlp->forward(x), target).backward();
    optimizer.step();
  }
};

// Half arithmetic as a person would write it: no Autocast, no loss scale, no check.
void backward_by_hand(torch::nn::Sequential& mlp, c10::ScalarType format, const at::Tensor& x,
                      const at::Tensor& target) {
  at::Tensor y = x;
  for (const auto& module : *mlp) {
    const auto& linear = *module.ptr<torch::nn::LinearImpl>();
    y = at::addmm(linear.bias.to(format), y.to(format), linear.weight.t().to(format));
  }
  at::mse_loss(y.to(at::kFloat), target).backward();
}

struct HandStep {
  explicit HandStep(c10::ScalarType half) : format(half) {}

  void operator()(const at::Tensor& x, const at::Tensor& target) {
    optimizer.zero_grad();
    backward_by_hand(mlp, format, x, target);
    optimizer.step();
  }

  c10::ScalarType format;
  torch::nn::Sequential mlp = make_mlp();
  torch::optim::AdamW optimizer{mlp->parameters(), torch::optim::AdamWOptions(1e-3)};
};

// By hand, weights and updates as in Halftone's step of the same preset, but for the read pass:
// what remains of that step without Autocast, GradScaler and optimizer.
struct BareStep {
  explicit BareStep(const halftone::Policy& policy)
      : format(halftone::scalar_type(policy.compute)) {
    halftone::apply(policy, *mlp);
    for (const auto& parameter : mlp->parameters()) {
      halftone::ops::ParameterUpdate u;
      u.rule = halftone::kernels::UpdateRule::adam;
      u.weight = parameter.detach();
      if (parameter.scalar_type() != at::kFloat) {
        u.kind = halftone::kernels::WeightKind::master;
        u.master = u.weight.to(at::kFloat);
      }
      u.state = {at::zeros_like(u.weight, at::kFloat), at::zeros_like(u.weight, at::kFloat), {}};
      u.numbers = halftone::ops::adam_numbers(1e-3, 0.9, 0.999, 1e-8, 1e-2, true, 10);
      updates.push_back(std::move(u));
    }
  }

  void operator()(const at::Tensor& x, const at::Tensor& target) {
    const auto parameters = mlp->parameters();
    for (const auto& parameter : parameters) parameter.mutable_grad().reset();
    backward_by_hand(mlp, format, x, target);
    for (std::size_t i = 0; i < updates.size(); ++i) updates[i].gradient = parameters[i].grad();
    halftone::ops::update_parameters(updates);
  }

  c10::ScalarType format;
  torch::nn::Sequential mlp = make_mlp();
  std::vector<halftone::ops::ParameterUpdate> updates;
};

// The same step in a half format by Halftone.
struct HalftoneStep {
  explicit HalftoneStep(const std::string& preset)
      : policy(halftone::Policy::preset(preset)), scaler(policy.loss_scale) {
    halftone::apply(policy, *mlp);
    halftone::optim::AdamWOptions options;
    options.storage = policy.weights;
    optimizer.emplace(mlp->parameters(), options);
  }

  void operator()(const at::Tensor& x, const at::Tensor& target) {
    optimizer->zero_grad();
    at::Tensor loss;
    {
      const halftone::Autocast autocast(policy);
      loss = at::mse_loss(mlp->forward(x), target);
    }
    scaler.scale(loss).backward();
    scaler.step(*optimizer);
    scaler.update();
  }

  torch::nn::Sequential mlp = make_mlp();
  halftone::Policy policy;
  halftone::GradScaler scaler;
  std::optional<halftone::optim::AdamW> optimizer;
};

// By Autocast, and nothing else of Halftone.
struct AutocastStep {
  void operator()(const at::Tensor& x, const at::Tensor& target) {
    optimizer.zero_grad();
    at::Tensor loss;
    {
      const halftone::Autocast autocast(policy);
      loss = at::mse_loss(mlp->forward(x), target);
    }
    loss.backward();
    optimizer.step();
  }

  torch::nn::Sequential mlp = make_mlp();
  halftone::Policy policy = halftone::Policy::preset("fp16");
  torch::optim::AdamW optimizer{mlp->parameters(), torch::optim::AdamWOptions(1e-3)};
};

template <class Step>
double time_step(Step& step, const at::Tensor& x, const at::Tensor& target) {
  const auto start = std::chrono::steady_clock::now();
  step(x, target);
  return microseconds_since(start);
}

// Each iteration takes one step of every kind, so that the machine's noise falls on all.
void step_overhead(benchmark::State& state, const std::string& preset) {
  at::set_num_threads(1);
  const auto x = torch::randn({kBatch, kWidth}), target = torch::randn({kBatch, kWidth});
  PlainStep plain;
  HalftoneStep halftone_step(preset);
  HandStep hand(halftone::scalar_type(halftone_step.policy.compute));
  BareStep bare(halftone_step.policy);
  std::vector<double> plain_us, hand_us, bare_us, halftone_us;
  for (auto _ : state) {
    plain_us.push_back(time_step(plain, x, target));
    hand_us.push_back(time_step(hand, x, target));
    bare_us.push_back(time_step(bare, x, target));
    halftone_us.push_back(time_step(halftone_step, x, target));
    state.SetIterationTime(halftone_us.back() * 1e-6);
  }
  state.counters["fp32_us"] = median(plain_us);
  state.counters["by_hand_us"] = median(hand_us);
  state.counters["halftone_us"] = median(halftone_us);
  state.counters["bare_us"] = median(bare_us);
  state.counters["overhead_us"] = median(halftone_us) - median(bare_us);
}

// The part of Autocast alone: by hand against a step without scaler.
void autocast_overhead(benchmark::State& state) {
  at::set_num_threads(1);
  const auto x = torch::randn({kBatch, kWidth}), target = torch::randn({kBatch, kWidth});
  HandStep hand(at::kHalf);
  AutocastStep autocast;
  std::vector<double> hand_us, autocast_us;
  for (auto _ : state) {
    hand_us.push_back(time_step(hand, x, target));
    autocast_us.push_back(time_step(autocast, x, target));
    state.SetIterationTime(autocast_us.back() * 1e-6);
  }
  state.counters["overhead_us"] = median(autocast_us) - median(hand_us);
}

// The guard and its wrappers alone: the same matmul of half tensors, which nothing has to be cast
// for, with and without an Autocast around it.
void guard_overhead(benchmark::State& state) {
  const auto a = torch::randn({8, 8}, at::kHalf), b = torch::randn({8, 8}, at::kHalf);
  const halftone::Policy policy = halftone::Policy::preset("fp16");
  std::vector<double> plain_us, autocast_us;
  for (auto _ : state) {
    auto start = std::chrono::steady_clock::now();
    benchmark::DoNotOptimize(at::mm(a, b));
    plain_us.push_back(microseconds_since(start));
    start = std::chrono::steady_clock::now();
    {
      const halftone::Autocast autocast(policy);
      benchmark::DoNotOptimize(at::mm(a, b));
    }
    autocast_us.push_back(microseconds_since(start));
    state.SetIterationTime(autocast_us.back() * 1e-6);
  }
  state.counters["overhead_us"] = median(autocast_us) - median(plain_us);
}

BENCHMARK_CAPTURE(step_overhead, fp16, "fp16")->UseManualTime();
BENCHMARK_CAPTURE(step_overhead, bf16, "bf16")->UseManualTime();
BENCHMARK_CAPTURE(step_overhead, fp16_master, "fp16-master")->UseManualTime();
BENCHMARK(autocast_overhead)->UseManualTime();
BENCHMARK(guard_overhead)->UseManualTime();

}  // namespace

BENCHMARK_MAIN();
