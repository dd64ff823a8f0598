// The tour: one training loop in mixed precision, every part by hand. Trainer does the same.
#include <halftone/halftone.h>
#include <torch/torch.h>

#include <iostream>

namespace {

// An ordinary LibTorch module: it knows nothing of Halftone.
struct Net : torch::nn::Module {
  Net() {
    body = register_module(
        "body", torch::nn::Sequential(torch::nn::Linear(64, 256), torch::nn::BatchNorm1d(256),
                                      torch::nn::ReLU()));
    head = register_module("head", torch::nn::Linear(256, 4));
  }
  torch::Tensor forward(const torch::Tensor& x) { return head(body->forward(x)); }

  torch::nn::Sequential body{nullptr};
  torch::nn::Linear head{nullptr};
};

}  // namespace

int main() {
  torch::manual_seed(1);
  // tour: begin
  auto policy =
      halftone::Policy::preset("fp16-master");  // fp16 weights, fp32 masters, loss scaling
  policy.modules.push_back({"head", halftone::Format::fp32});  // but for the last layer

  Net net;
  halftone::apply(policy, net);
  halftone::optim::AdamW optimizer(net.parameters(), {.lr = 2e-3, .clip_norm = 1.0});
  halftone::optim::CosineLr scheduler(optimizer, 200);
  halftone::GradScaler scaler(policy.loss_scale);

  const auto truth = torch::randn({64, 4});
  for (int step = 1; step <= 200; ++step) {
    const auto input = torch::randn({128, 64});  // batch
    const auto target = input.mm(truth).argmax(1);
    torch::Tensor loss;
    {
      halftone::Autocast autocast(policy);  // the forward as the policy says
      loss = torch::nn::functional::cross_entropy(net.forward(input), target);
    }
    optimizer.zero_grad();
    scaler.scale(loss).backward();               // the loss scaled, backward
    const auto result = scaler.step(optimizer);  // read once; unscale, clip, update, write
    scaler.update();                             // the scaler moves
    if (result.applied) scheduler.step();        // the scheduler only if the step was applied
    if (step % 50 == 0) {
      std::cout << "step " << step << "  loss " << loss.item<float>() << "  scale " << result.scale
                << (result.applied ? "" : "  skipped: " + result.first_non_finite) << "\n";
    }
  }
  // tour: end
  return 0;
}
