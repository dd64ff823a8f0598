#include "halftone/nn/batch_norm.h"

#include <torch/torch.h>

#include <algorithm>
#include <vector>

#include "halftone/kernels/batch_norm/batch_norm.h"
#include "halftone/ops/memory.h"
#include "halftone/precision/autocast.h"
#include "tests/support/test.h"
#include "tests/support/tolerances.h"

namespace halftone::nn {
namespace {

std::uint64_t runs_of(const kernels::LadderBase& ladder) {
  std::uint64_t runs = 0;
  for (Isa rung : ladder.rungs()) runs += ladder.runs(rung);
  return runs;
}

bool norm_block_close(const at::Tensor& a, const at::Tensor& b, double tolerance) {
  return at::allclose(a.to(at::kDouble), b.to(at::kDouble), tolerance, tolerance);
}

// The tensors are tiny.
struct OneThread {
  OneThread() : before(at::get_num_threads()) { at::set_num_threads(1); }
  ~OneThread() { at::set_num_threads(before); }
  int before;
};

// Parameters and running statistics that are not what they start from.
template <class Norm>
Norm filled(Norm norm, bool training = true) {
  torch::manual_seed(4);
  const at::NoGradGuard no_grad;
  if (norm->weight.defined()) norm->weight.uniform_(0.5, 1.5);
  if (norm->bias.defined()) norm->bias.normal_();
  norm->running_mean.normal_();
  norm->running_var.uniform_(0.5, 1.5);
  norm->train(training);
  return norm;
}

struct BlockCase {
  bool add, training;
  at::ScalarType type = at::kHalf;
  at::MemoryFormat format = at::MemoryFormat::ChannelsLast;
  bool half_parameters = false;
};

// y, gradients of x, residual, weight, bias; running_mean, running_var.
std::vector<at::Tensor> run_block(const BlockCase& one, bool fused, at::ScalarType type) {
  torch::manual_seed(5);
  const auto leaf = [&] {
    return torch::randn({4, 19, 6, 7})
        .to(one.type)
        .to(type)
        .contiguous(one.format)
        .detach()
        .requires_grad_();
  };
  const auto x = leaf(), residual = leaf();
  const auto g = torch::randn({4, 19, 6, 7}).to(one.type).to(type);
  const auto with = [&](auto norm, auto run) {
    if (one.half_parameters) norm->to(one.type);
    if (type == at::kDouble) norm->to(type);
    const auto y = run(norm);
    y.backward(g);
    std::vector<at::Tensor> results{
        y, x.grad(), norm->weight.grad(), norm->bias.grad(), norm->running_mean, norm->running_var};
    if (one.add) results.push_back(residual.grad());
    return results;
  };
  if (!fused) {
    return with(filled(torch::nn::BatchNorm2d(19), one.training), [&](auto& norm) {
      const auto y = norm(x);
      return torch::relu(one.add ? y + residual : y);
    });
  }
  if (one.add) {
    return with(filled(BatchNormAddReLU(19), one.training),
                [&](auto& norm) { return norm(x, residual); });
  }
  return with(filled(BatchNormReLU(19), one.training), [&](auto& norm) { return norm(x); });
}

TEST(BatchNormBlocks, HalfMatchesTheUnfusedModulesInFp64) {
  const OneThread one_thread;
  for (auto type : {at::kHalf, at::kBFloat16}) {
    for (auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
      for (bool add : {false, true}) {
        for (bool training : {true, false}) {
          for (bool half_parameters : {false, true}) {
            const BlockCase one{add, training, type, format, half_parameters};
            const auto forwards = runs_of(kernels::batch_norm_forward_ladder());
            const auto backwards = runs_of(kernels::batch_norm_backward_ladder());
            const auto found = run_block(one, true, type);
            EXPECT_EQ(runs_of(kernels::batch_norm_forward_ladder()), forwards + 1);
            EXPECT_EQ(runs_of(kernels::batch_norm_backward_ladder()), backwards + 1);
            const auto exact = run_block(one, false, at::kDouble);
            const double tolerance = type == at::kHalf ? tolerance::kFp16 : tolerance::kBf16;
            EXPECT_TRUE(norm_block_close(found[0], exact[0], 2 * tolerance));
            EXPECT_EQ(found[0].suggest_memory_format(), format);
            // A gradient jumps where rounding moved y across zero: few elements may.
            for (std::size_t i = 1; i < found.size(); ++i) {
              const auto error =
                  (found[i].to(at::kDouble) - exact[i]).norm() / (exact[i].norm() + 1e-9);
              EXPECT_LT(error.item<double>(), 10 * tolerance) << "tensor " << i;
            }
          }
        }
      }
    }
  }
}

TEST(BatchNormBlocks, Fp32AndFp64AreTheUnfusedModulesBitForBit) {
  const OneThread one_thread;
  for (auto type : {at::kFloat, at::kDouble}) {
    for (bool add : {false, true}) {
      for (bool training : {true, false}) {
        const BlockCase one{add, training, type};
        const auto found = run_block(one, true, type), expected = run_block(one, false, type);
        for (std::size_t i = 0; i < found.size(); ++i)
          EXPECT_TRUE(at::equal(found[i], expected[i]));
      }
    }
  }
}

TEST(BatchNormBlocks, SecondDerivativesMatchTheUnfusedModules) {
  const OneThread one_thread;
  const auto second = [](bool fused, at::ScalarType type) {
    torch::manual_seed(6);
    const auto x = torch::randn({4, 3, 5, 5}).to(at::kHalf).to(type).requires_grad_();
    const auto z = torch::randn({4, 3, 5, 5}).to(at::kHalf).to(type).requires_grad_();
    torch::nn::BatchNorm2d plain(3);
    BatchNormReLU relu(3);
    BatchNormAddReLU add(3);
    if (type == at::kDouble) plain->to(type);
    const auto y = fused ? relu(add(x, z)) : torch::relu(plain(torch::relu(plain(x) + z)));
    const auto first = torch::autograd::grad({y.pow(2).sum()}, {x, z}, {}, true, true);
    const auto both = torch::autograd::grad({(first[0] * first[1]).sum()}, {x, z});
    return torch::cat({both[0].flatten(), both[1].flatten()}).to(at::kDouble);
  };
  const auto found = second(true, at::kHalf), exact = second(false, at::kDouble);
  EXPECT_LT(((found - exact).norm() / exact.norm()).item<double>(), 20 * tolerance::kFp16);
}

TEST(BatchNormBlocks, WantOnlyTheGradientsThatAreAskedFor) {
  const auto x = torch::randn({2, 3, 4, 4}).to(at::kBFloat16);
  const auto z = torch::randn({2, 3, 4, 4}).to(at::kBFloat16).requires_grad_();
  BatchNormAddReLU norm(3);
  norm->weight.set_requires_grad(false);
  const auto y = norm(x, z);
  y.sum().backward();
  EXPECT_FALSE(x.grad().defined() || norm->weight.grad().defined());
  EXPECT_TRUE(norm->bias.grad().defined());
  EXPECT_TRUE(at::equal(z.grad(), at::gt(y, 0).to(at::kBFloat16)));

  BatchNormReLU bare(torch::nn::BatchNormOptions(3).affine(false).track_running_stats(false));
  const auto leaf = torch::randn({2, 3, 4, 4}).to(at::kBFloat16).requires_grad_();
  const auto runs = runs_of(kernels::batch_norm_backward_ladder());
  bare(leaf).sum().backward();
  EXPECT_EQ(runs_of(kernels::batch_norm_backward_ladder()), runs + 1);
  EXPECT_TRUE(leaf.grad().defined());
}

TEST(BatchNormBlocks, ParametersAndBuffersAreNamedAsBatchNorms) {
  const auto names = [](const torch::nn::Module& module) {
    auto list = module.named_parameters().keys();
    for (const auto& each : module.named_buffers().keys()) list.push_back(each);
    return list;
  };
  EXPECT_EQ(names(*BatchNormReLU(3)), names(*torch::nn::BatchNorm2d(3)));
  EXPECT_EQ(names(*BatchNormAddReLU(3)), names(*torch::nn::BatchNorm2d(3)));
  const auto copy = BatchNormReLU(3)->clone();
  EXPECT_TRUE(std::dynamic_pointer_cast<BatchNormReLUImpl>(copy) != nullptr);
}

TEST(BatchNormBlocks, CountBatchesAndAverageAsBatchNormDoes) {
  const OneThread one_thread;
  const auto options = torch::nn::BatchNormOptions(3).momentum(std::nullopt);
  BatchNormReLU fused(options);
  torch::nn::BatchNorm2d plain(options);
  for (int i = 0; i < 3; ++i) {
    const auto x = torch::randn({4, 3, 5, 5}).to(at::kHalf);
    fused(x);
    plain(x.to(at::kFloat));
  }
  EXPECT_EQ(fused->num_batches_tracked.item<std::int64_t>(), 3);
  EXPECT_TRUE(norm_block_close(fused->running_var, plain->running_var, tolerance::kFp32));
  EXPECT_TRUE(norm_block_close(fused->running_mean, plain->running_mean, tolerance::kFp32));
}

TEST(BatchNormBlocks, ErrorsAreBatchNorms) {
  BatchNormReLU fused(3);
  EXPECT_THROW(fused(torch::randn({3, 4, 4}).to(at::kHalf)), c10::Error);
  EXPECT_THROW(fused(torch::randn({1, 3, 1, 1}).to(at::kHalf)), c10::Error);
  EXPECT_THROW(fused(torch::randn({2, 4, 3, 3}).to(at::kHalf)), c10::Error);
}

TEST(BatchNormBlocks, ObeyAutocastAndItsPolicy) {
  const OneThread one_thread;
  torch::nn::Conv2d conv(torch::nn::Conv2dOptions(3, 8, 3).bias(false));
  BatchNormReLU norm(8);
  const auto x = torch::randn({2, 3, 8, 8});
  const auto run = [&](const Policy& policy) {
    const auto before = runs_of(kernels::batch_norm_backward_ladder());
    at::Tensor y;
    {
      const Autocast autocast(policy);
      y = norm(conv(x));
    }
    y.to(at::kFloat).sum().backward();
    EXPECT_EQ(norm->weight.grad().scalar_type(), at::kFloat);
    return std::pair(y.scalar_type(), runs_of(kernels::batch_norm_backward_ladder()) - before);
  };
  Policy policy = Policy::preset("bf16");
  EXPECT_TRUE(run(policy) == std::pair(at::kBFloat16, std::uint64_t{1}));
  policy.operations = {{"batch_norm", Format::fp32}};
  EXPECT_TRUE(run(policy) == std::pair(at::kFloat, std::uint64_t{0}));
}

// Neither what lies between the operations nor, where x tells the mask, the output.
TEST(BatchNormBlocks, TakeLessMemory) {
  constexpr std::int64_t kBytes = 2 * 8 * 32 * 16 * 16;
  constexpr std::int64_t kSmall = kBytes / 4;  // numbers per channel, scratch
  const OneThread one_thread;
  const auto x = torch::randn({8, 32, 16, 16}).to(at::kHalf).requires_grad_();
  const auto z = torch::randn({8, 32, 16, 16}).to(at::kHalf).requires_grad_();
  BatchNormAddReLU add(32);
  BatchNormReLU relu(32);
  torch::nn::BatchNorm2d plain(32);
  memory::install_counting_allocator();
  // At most during forward; and what the graph keeps once nothing else needs the output.
  const auto measure = [](auto run) {
    const auto before = memory::current_tensor_bytes();
    memory::reset_peak();
    at::Tensor y = run();
    const auto peak = memory::peak_tensor_bytes() - before;
    y = y.sum();
    return std::pair(peak, memory::current_tensor_bytes() - before);
  };
  const auto [fused_peak, fused_kept] = measure([&] { return relu(x); });
  const auto [add_peak, add_kept] = measure([&] { return add(x, z); });
  const auto [unfused_peak, unfused_kept] = measure([&] { return torch::relu(plain(x)); });
  const auto [unfused_add_peak, unfused_add_kept] =
      measure([&] { return torch::relu(plain(x) + z); });
  memory::uninstall_counting_allocator();
  EXPECT_LE(fused_peak, kBytes + kSmall);
  EXPECT_LE(fused_kept, kSmall);
  EXPECT_LE(add_peak, kBytes + kSmall);
  EXPECT_LE(add_kept, kBytes + kSmall);
  EXPECT_GE(unfused_peak, 2 * kBytes);
  EXPECT_GE(unfused_kept, kBytes);
  EXPECT_GE(unfused_add_peak, 2 * kBytes);
  EXPECT_GE(unfused_add_kept, add_kept - kSmall);
}

}  // namespace
}  // namespace halftone::nn
