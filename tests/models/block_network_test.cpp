// Networks whose blocks are computed again for backward: the same step, less memory.
#include "halftone/models/block_network.h"

#include <torch/torch.h>

#include <functional>
#include <string>

#include "halftone/models/encoder.h"
#include "halftone/models/fcos.h"
#include "halftone/models/gpt.h"
#include "halftone/models/network.h"
#include "halftone/models/translator.h"
#include "halftone/models/unet.h"
#include "halftone/ops/memory.h"
#include "halftone/precision/autocast.h"
#include "tests/ops/override_support.h"
#include "tests/support/test.h"

namespace halftone::models {
namespace {

// A network and a loss of one batch, which is the same each time.
struct BlockCase {
  std::string name;
  std::shared_ptr<torch::nn::Module> module;
  std::function<at::Tensor()> loss;
};

template <class Net>
std::function<at::Tensor()> squares(std::shared_ptr<Net> net, const at::Tensor& x) {
  return [net, x] { return net->forward(x).to(torch::kFloat).square().mean(); };
}

BlockCase image_case(const std::string& name, std::int64_t side) {
  auto net = make_network({.name = name, .height = side, .width = side});
  return {name, net, squares(net, torch::rand({4, 3, side, side}))};
}

BlockCase unet_case() {
  auto net = std::make_shared<UNet>(UNetOptions{.classes = 5, .width = 8, .levels = 3});
  return {"unet", net, squares(net, torch::rand({2, 3, 45, 38}))};  // odd sizes on the way down
}

BlockCase gpt_case() {
  auto net = std::make_shared<Gpt>(GptOptions{.vocabulary = 17,
                                              .context = 64,
                                              .layers = 4,
                                              .heads = 2,
                                              .width = 32,
                                              .dropout = 0.2,
                                              .tied_head = true});
  return {"gpt", net, squares(net, torch::randint(17, {8, 64}))};
}

at::Tensor lengths_mask(std::int64_t texts, std::int64_t width) {
  return torch::arange(width) < torch::arange(width - texts + 1, width + 1).unsqueeze(1);
}

BlockCase encoder_case() {
  auto net = std::make_shared<EncoderClassifier>(
      EncoderOptions{
          .vocabulary = 19, .positions = 64, .layers = 4, .heads = 2, .width = 32, .inner = 64},
      2);
  const auto tokens = torch::randint(19, {8, 64});
  return {"encoder", net, [net, tokens] {
            return net->forward(tokens, lengths_mask(8, 64)).to(torch::kFloat).square().mean();
          }};
}

BlockCase translator_case() {
  auto net = std::make_shared<Translator>(TranslatorOptions{
      .vocabulary = 23, .positions = 64, .layers = 3, .heads = 2, .width = 32, .inner = 64});
  const auto tokens = torch::randint(23, {8, 60}), prefix = torch::randint(23, {8, 64});
  return {
      "translator", net, [net, tokens, prefix] {
        return net->forward(tokens, lengths_mask(8, 60), prefix).to(torch::kFloat).square().mean();
      }};
}

BlockCase fcos_case() {
  auto net = std::make_shared<Fcos>(FcosOptions{.classes = 3, .width = 16, .depth = 1});
  const auto x = torch::rand({2, 3, 256, 320});
  return {"fcos", net, [net, x] {
            const FcosOutput out = net->forward(x);
            return out.logits.square().mean() + out.distances.mean() + out.centredness.mean();
          }};
}

std::vector<BlockCase> block_cases() {
  torch::manual_seed(5);
  return {image_case("resnet18", 64), unet_case(), gpt_case(), encoder_case(),
          translator_case(),          fcos_case()};
}

struct BlockStep {
  std::vector<at::Tensor> tensors;  // the loss, gradients, buffers
  at::Tensor next_random;
  std::int64_t kept = 0, peak = 0;  // bytes beside what was there before: for backward, at most
};

// Leaves the buffers as they were.
BlockStep block_step(const BlockCase& given, const Policy& policy) {
  torch::manual_seed(9);
  torch::nn::Module& module = *given.module;
  module.train();
  for (auto& parameter : module.parameters()) parameter.mutable_grad() = at::zeros_like(parameter);
  std::vector<at::Tensor> before;
  for (const auto& buffer : module.buffers()) before.push_back(buffer.clone());
  memory::install_counting_allocator();
  memory::reset_peak();
  const std::int64_t start = memory::current_tensor_bytes();
  BlockStep step;
  {
    at::Tensor loss;
    {
      const Autocast autocast(policy);
      loss = given.loss();
    }
    step.kept = memory::current_tensor_bytes() - start;
    (loss * 8).backward();  // as a scaler does
    step.tensors.push_back(loss.detach());
  }
  step.peak = memory::peak_tensor_bytes() - start;
  memory::uninstall_counting_allocator();
  step.next_random = torch::rand({3});
  for (const auto& parameter : module.parameters())
    step.tensors.push_back(parameter.grad().clone());
  std::size_t i = 0;
  const torch::NoGradGuard no_grad;
  for (auto& buffer : module.buffers()) {
    step.tensors.push_back(buffer.clone());
    buffer.copy_(before[i++]);
  }
  return step;
}

void expect_same_step(const BlockStep& given, const BlockStep& expected) {
  ASSERT_EQ(given.tensors.size(), expected.tensors.size());
  std::size_t different = 0;
  for (std::size_t i = 0; i < given.tensors.size(); ++i) {
    different += !torch::equal(given.tensors[i], expected.tensors[i]);
  }
  EXPECT_EQ(different, 0u) << "of " << given.tensors.size();
  EXPECT_TRUE(torch::equal(given.next_random, expected.next_random));
}

TEST(BlockNetwork, RecomputedStepIsTheSameBitForBitAndTakesLessMemory) {
  const OverrideTest on;
  for (const BlockCase& each : block_cases()) {
    for (const char* preset : {"fp32", "bf16", "fp16"}) {
      SCOPED_TRACE(each.name + ", " + preset);
      const Policy policy = Policy::preset(preset);
      for (auto& module : each.module->modules()) {
        if (auto* blocks = dynamic_cast<BlockNetwork*>(module.get())) {
          blocks->recompute_blocks(false);
        }
      }
      const BlockStep kept = block_step(each, policy);
      EXPECT_TRUE(recompute_blocks(*each.module));
      const BlockStep recomputed = block_step(each, policy);
      expect_same_step(recomputed, kept);
      EXPECT_LT(static_cast<double>(recomputed.kept), 0.75 * static_cast<double>(kept.kept))
          << recomputed.kept << " of " << kept.kept;
      EXPECT_LT(recomputed.peak, kept.peak);
    }
  }
}

TEST(BlockNetwork, NetworkWithoutBlocksHasNothingToRecompute) {
  for (const char* name : {"mlp", "cnn"}) {
    EXPECT_FALSE(recompute_blocks(*make_network({.name = name}))) << name;
  }
}

}  // namespace
}  // namespace halftone::models
