// Whoever uses LibTorch's own autocast calls sees LibTorch's own behaviour, also after an Autocast
// has put Halftone's wrappers in.
#include <ATen/autocast_mode.h>
#include <torch/torch.h>

#include "halftone/precision/autocast.h"
#include "tests/precision/autocast_support.h"
#include "tests/support/test.h"

namespace halftone {
namespace {

// LibTorch's calls, as its Python context manager makes them.
class RawAutocast {
 public:
  explicit RawAutocast(c10::ScalarType format)
      : enabled_(at::autocast::is_autocast_enabled(at::kCPU)),
        format_(at::autocast::get_autocast_dtype(at::kCPU)) {
    at::autocast::set_autocast_enabled(at::kCPU, true);
    at::autocast::set_autocast_dtype(at::kCPU, format);
    at::autocast::increment_nesting();
  }
  ~RawAutocast() {
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(at::kCPU, enabled_);
    at::autocast::set_autocast_dtype(at::kCPU, format_);
  }

 private:
  bool enabled_;
  c10::ScalarType format_;
};

// Results and gradients of operations of every kind under LibTorch's own autocast.
std::vector<at::Tensor> stock_results(c10::ScalarType format) {
  torch::manual_seed(7);
  const auto x = torch::randn({4, 6}), image = torch::randn({2, 3, 8, 8});
  auto weight = (torch::randn({6, 6}) * 0.2).requires_grad_();
  auto filter = torch::randn({4, 3, 3, 3}).requires_grad_();
  const auto bias = torch::randn({6}), batch = torch::randn({2, 4, 6});
  const auto classes = torch::zeros({4}, at::kLong);

  const RawAutocast autocast(format);
  const auto y = at::mm(x, weight);
  std::vector<at::Tensor> results = {
      y,
      at::addmm(bias, x, weight),
      at::linear(x, weight, bias),
      at::matmul(batch, weight),
      at::bmm(batch, batch.transpose(1, 2)),
      at::conv2d(image, filter),
      at::prelu(y, torch::ones({1})),
      at::einsum("ij,jk->ik", {x, weight}),
      at::mv(weight, bias),
      at::softmax(y, 1),
      at::log_softmax(y, 1),
      y.sum(),
      y.sum(1),
      y.exp(),
      y.pow(2),
      y.norm(),
      y.cumsum(1),
      y.prod(1),
      at::layer_norm(y, {6}),
      at::cat({x, y}),
      at::mse_loss(y, x),
      at::cross_entropy_loss(y, classes),
      at::binary_cross_entropy(y.sigmoid(), x.sigmoid()),
      at::upsample_nearest2d(at::conv2d(image, filter), {12, 12}),
      at::addcmul(x, x, x),
  };
  weight.data().add_(1);  // LibTorch's cache does not see it
  results.push_back(at::mm(x, weight));
  at::Tensor loss = torch::zeros({});
  for (const auto& result : results) {
    if (result.requires_grad()) loss = loss + result.to(at::kFloat).mean();
  }
  loss.backward();
  results.push_back(weight.grad());
  results.push_back(filter.grad());
  return results;
}

// Made while this file is loaded, before any test can have made an Autocast.
const std::vector<at::Tensor> kBf16Before = stock_results(at::kBFloat16);
const std::vector<at::Tensor> kFp16Before = stock_results(at::kHalf);

void expect_same(const std::vector<at::Tensor>& before, const std::vector<at::Tensor>& after) {
  ASSERT_EQ(before.size(), after.size());
  for (std::size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(before[i].scalar_type(), after[i].scalar_type()) << "result " << i;
    EXPECT_TRUE(before[i].isfinite().all().item<bool>()) << "result " << i;
    EXPECT_TRUE(before[i].equal(after[i])) << "result " << i;
  }
}

// Also the rows that only a policy's exceptions put in.
void use_autocast() {
  Policy policy = half_policy();
  policy.modules = {{"nothing", Format::fp32}};
  policy.operations = {{"*", Format::fp32}};
  const Autocast cpu(policy, at::kCPU);
  const Autocast cuda(policy, at::kCUDA);
  at::mm(torch::ones({2, 2}), torch::ones({2, 2}));
}

// LibTorch warns of a replaced kernel once per process, so this too comes before any test.
const int kWarningsOfTheFirstUse = [] {
  struct Count final : c10::WarningHandler {
    void process(const c10::Warning&) override { ++count; }
    int count = 0;
  } handler;
  const c10::WarningUtils::WarningHandlerGuard guard(&handler);
  use_autocast();
  return handler.count;
}();

TEST(AutocastStock, RawCallsGiveTheSameBitsAfterAnAutocastWasUsed) {
  use_autocast();
  expect_same(kBf16Before, stock_results(at::kBFloat16));
  expect_same(kFp16Before, stock_results(at::kHalf));
}

TEST(AutocastStock, RawCallsGiveTheSameBitsInsideAnIsland) {
  const Autocast autocast(half_policy());
  const AutocastDisabled island;
  expect_same(kBf16Before, stock_results(at::kBFloat16));
}

TEST(AutocastStock, WithoutAutocastNothingIsCast) {
  use_autocast();
  const auto x = torch::randn({4, 4});
  EXPECT_EQ(at::mm(x, x).scalar_type(), at::kFloat);
  EXPECT_EQ(at::softmax(x.to(at::kHalf), 1).scalar_type(), at::kHalf);
  EXPECT_EQ(x.to(at::kBFloat16).sum().scalar_type(), at::kBFloat16);
}

TEST(AutocastStock, RawCallsKeepLibTorchsCachedWeights) {
  use_autocast();
  auto weight = torch::randn({4, 4}).requires_grad_();
  const auto x = torch::randn({4, 4});
  const RawAutocast autocast(at::kBFloat16);
  CastCounter counter;
  at::mm(x, weight);
  at::mm(x, weight);
  EXPECT_EQ(counter.casts(), 3) << "x twice, the weight once";
}

TEST(AutocastStock, InstallingWarnsOfNothing) { EXPECT_EQ(kWarningsOfTheFirstUse, 0); }

}  // namespace
}  // namespace halftone
