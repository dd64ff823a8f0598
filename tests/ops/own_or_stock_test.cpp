#include "halftone/ops/overrides/own_or_stock.h"

#include <torch/torch.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "halftone/base/log.h"
#include "halftone/base/workspace.h"
#include "halftone/nn/layers.h"
#include "tests/ops/override_support.h"
#include "tests/support/tolerances.h"

namespace halftone {
namespace {

std::vector<std::string> warnings;

void keep_warning(std::string_view channel, std::string_view line) {
  if (channel == "warning") warnings.emplace_back(line);
}

// No kernel gets memory for its workspace, on any thread, while one lives.
class NoWorkspace {
 public:
  NoWorkspace() : sink_(set_log_sink(keep_warning)) {
    warnings.clear();
    trim_workspaces();
    set_workspace_limit(0);
  }
  ~NoWorkspace() {
    set_workspace_limit(std::numeric_limits<std::size_t>::max());
    set_log_sink(sink_);
  }
  NoWorkspace(const NoWorkspace&) = delete;

  static std::ptrdiff_t said(const std::string& operation) {
    return std::count_if(warnings.begin(), warnings.end(), [&](const std::string& line) {
      return line.rfind(operation + ": no memory", 0) == 0;
    });
  }

 private:
  LogSink sink_;
};

at::Tensor half_randn(at::IntArrayRef sizes) { return torch::randn(sizes).to(at::kHalf); }

struct Call {
  const char* operation;
  std::function<std::vector<at::Tensor>()> run;
};

std::vector<at::Tensor> gradients(const at::Tensor& y, const std::vector<at::Tensor>& of) {
  return torch::autograd::grad({y}, of, {torch::ones_like(y)});
}

// One call of each operation whose kernel has a workspace, on operands fixed here.
std::vector<Call> workspace_calls() {
  const auto a = half_randn({40, 70}), b = half_randn({70, 50}), d = half_randn({40, 50});
  const auto batch = half_randn({3, 20, 30}), other = half_randn({3, 30, 10});
  const auto image = half_randn({2, 8, 9, 9}).requires_grad_();
  const auto window = half_randn({16, 8, 3, 3}).requires_grad_();
  const auto each = half_randn({8, 1, 3, 3}).requires_grad_();
  const auto heads = half_randn({1, 2, 33, 16}).requires_grad_();
  const auto weight = half_randn({8}).requires_grad_(), bias = half_randn({8}).requires_grad_();
  const auto rows = half_randn({12, 8}).requires_grad_();
  const auto places = torch::randint(0, 20, {30});
  const auto table = half_randn({20, 8}).requires_grad_();
  return {
      {"embedding", [=] { return gradients(at::embedding(table, places), {table}); }},
      {"mm",
       [=] {
         return std::vector{at::mm(a, b), at::addmm(d, a, b, 0.5, 2)};
       }},
      {"mm", [=] { return std::vector{d.clone().addmm_(a, b)}; }},
      {"bmm", [=] { return std::vector{at::bmm(batch, other)}; }},
      {"conv2d", [=] { return std::vector{at::conv2d(image, window)}; }},
      {"conv2d_backward",
       [=] {
         return gradients(at::conv2d(image, window), {image, window});
       }},
      {"conv2d_backward",
       [=] {
         return gradients(at::conv2d(image, each, {}, 1, 1, 1, 8), {image, each});
       }},
      {"attention",
       [=] {
         const auto y = at::scaled_dot_product_attention(heads, heads, heads, {}, 0, true);
         return std::vector{y.detach(), gradients(y, {heads})[0]};
       }},
      {"layer_norm",
       [=] {
         return gradients(at::layer_norm(rows, {8}, weight, bias), {rows, weight, bias});
       }},
      {"group_norm",
       [=] {
         return gradients(at::group_norm(image, 2, weight, bias), {image, weight, bias});
       }},
      {"batch_norm",
       [=] {
         const auto mean = torch::zeros({8}, at::kHalf), var = torch::ones({8}, at::kHalf);
         const auto y = at::batch_norm(image, weight, bias, mean, var, true, 0.25, 1e-5, false);
         auto found = gradients(y, {image, weight, bias});
         found.insert(found.end(), {mean, var});
         return found;
       }},
      {"upsample_bilinear2d",
       [=] {
         return gradients(at::upsample_bilinear2d(image, {20, 20}, false), {image});
       }},
  };
}

TEST(OwnOrStock, WithoutMemoryForAWorkspaceLibTorchServesAndItIsSaidOnce) {
  std::map<std::string, std::ptrdiff_t> said;
  for (const int threads : {1, 2}) {
    const OverrideTest on;
    at::set_num_threads(threads);
    for (const Call& call : workspace_calls()) {
      const auto stock = on.stock(call.run);
      std::vector<at::Tensor> found;
      {
        const NoWorkspace none;
        ASSERT_NO_THROW(found = call.run()) << call.operation;
        ASSERT_NO_THROW(call.run()) << call.operation;
        said[call.operation] += NoWorkspace::said(call.operation);
      }
      for (std::size_t i = 0; i < stock.size(); ++i) {
        const auto exact = stock[i].to(at::kDouble);
        const double error =
            ((found[i].to(at::kDouble) - exact).norm() / exact.norm()).item<double>();
        // Two kernels' roundings, of statistics in half too.
        EXPECT_LE(error, 2 * tolerance::kFp16) << call.operation << " " << i;
      }
    }
  }
  // By the first test of the process that runs out of memory, which is this one.
  for (const auto& [operation, times] : said) EXPECT_EQ(times, 1) << operation;
}

TEST(OwnOrStock, SaysWhichOperationOnce) {
  const NoWorkspace sink;
  ops::say_out_of_workspace("an operation of this test");
  ops::say_out_of_workspace("an operation of this test");
  EXPECT_EQ(NoWorkspace::said("an operation of this test"), 1);
  EXPECT_EQ(warnings.size(), 1u);
}

// In place D is C: the rows that one thread wrote before another found no memory must not count.
TEST(OwnOrStock, AnInPlaceSumIsNotAddedTwice) {
  const OverrideTest on;
  // Tall: B is one block, which this thread packs.
  const auto a = half_randn({4000, 64}), b = half_randn({64, 40}), d = half_randn({4000, 40});
  const auto stock = on.stock([&] { return d.clone().addmm_(a, b); });
  trim_workspaces();
  d.clone().addmm_(a, b);  // on this thread alone, which has its buffers now
  set_workspace_limit(0);
  at::set_num_threads(2);
  const LogSink sink = set_log_sink(keep_warning);
  const auto sum = d.clone().addmm_(a, b);
  set_log_sink(sink);
  set_workspace_limit(std::numeric_limits<std::size_t>::max());
  // Either's rounding.
  EXPECT_LE(((sum - stock).norm() / stock.norm()).item<double>(), 2 * tolerance::kProductFp16);
}

TEST(OwnOrStock, TheNextCallWithMemoryIsOurs) {
  const OverrideTest on;
  const auto a = half_randn({40, 70}), b = half_randn({70, 50});
  const auto own = at::mm(a, b);
  {
    const NoWorkspace none;
    at::mm(a, b);
  }
  EXPECT_TRUE(at::equal(at::mm(a, b), own));
}

TEST(OwnOrStock, AFusedBlockFailsAsLibTorchDoes) {
  const OverrideTest on;
  nn::BatchNormReLU block(8);
  const auto x = half_randn({2, 8, 9, 9});
  const NoWorkspace none;
  EXPECT_THROW(block(x), c10::OutOfMemoryError);
  EXPECT_TRUE(at::equal(block->running_mean, torch::zeros({8})));
}

}  // namespace
}  // namespace halftone
