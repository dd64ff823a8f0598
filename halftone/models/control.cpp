#include "halftone/models/control.h"

#include <ATen/CPUGeneratorImpl.h>

#include <sstream>
#include <utility>

#include "halftone/base/error.h"
#include "halftone/base/text.h"
#include "halftone/models/layers.h"
#include "halftone/ops/generator.h"
#include "halftone/optim/init.h"

namespace halftone::models {
namespace {

constexpr double kPolicyGain = 0.01;  // of ppo's last layer

// Of the layer's weights where no autocast does it.
at::Tensor fitted_to(const nn::Linear& layer, const at::Tensor& x) {
  return x.to(layer->weight.scalar_type());
}

at::Tensor full(const at::Tensor& x) {
  return x.scalar_type() == at::kDouble ? x : x.to(at::kFloat);
}

class DuelingQ : public ControlNetwork {
 public:
  explicit DuelingQ(const ControlOptions& o)
      : ControlNetwork(o),
        fc1_(register_module("fc1", nn::Linear(o.observation, o.width))),
        fc2_(register_module("fc2", nn::Linear(o.width, o.width))),
        value_(register_module("value", nn::Linear(o.width, 1))),
        advantage_(register_module("advantage", nn::Linear(o.width, o.actions))) {}

 protected:
  ControlOutput run(const at::Tensor& observation) override {
    const at::Tensor h = fc2_(fc1_(fitted_to(fc1_, observation)).relu()).relu();
    const at::Tensor advantage = full(advantage_(h));
    const at::Tensor scores = full(value_(h)) + advantage - advantage.mean(1, /*keepdim=*/true);
    return {scores, std::get<0>(scores.max(1))};
  }

 private:
  nn::Linear fc1_, fc2_, value_, advantage_;
};

class ActorCritic : public ControlNetwork {
 public:
  explicit ActorCritic(const ControlOptions& o)
      : ControlNetwork(o),
        actor1_(register_module("actor1", nn::Linear(o.observation, o.width))),
        actor2_(register_module("actor2", nn::Linear(o.width, o.width))),
        policy_(register_module("policy", nn::Linear(o.width, o.actions))),
        critic1_(register_module("critic1", nn::Linear(o.observation, o.width))),
        critic2_(register_module("critic2", nn::Linear(o.width, o.width))),
        value_(register_module("value", nn::Linear(o.width, 1))) {}

 protected:
  ControlOutput run(const at::Tensor& observation) override {
    const at::Tensor x = fitted_to(actor1_, observation);
    const at::Tensor acts = actor2_(actor1_(x).tanh()).tanh();
    const at::Tensor judges = critic2_(critic1_(x).tanh()).tanh();
    return {full(policy_(acts)), full(value_(judges)).squeeze(1)};
  }

 private:
  nn::Linear actor1_, actor2_, policy_, critic1_, critic2_, value_;
};

const ControlOptions& checked(const ControlOptions& o) {
  if (o.name != "dqn" && o.name != "ppo") {
    throw UsageError(quote(o.name), choices(o.name, {"dqn", "ppo"}), "control");
  }
  for (const auto& [name, value] : {std::pair{"observation", o.observation},
                                    std::pair{"actions", o.actions}, std::pair{"width", o.width}}) {
    if (value < 1) throw UsageError(std::to_string(value), "1 or more", o.name + ", " + name);
  }
  return o;
}

void initialise_control(ControlNetwork& network) {
  const ControlOptions& o = network.options();
  if (o.name == "dqn") return initialise_layers(network, o.seed, o.init);
  const init::Options how{o.init, at::make_generator<at::CPUGeneratorImpl>(o.seed)};
  for (auto& item : network.named_parameters()) {
    if (item.value().dim() >= 2) {
      init::xavier_uniform_(item.value(), item.key() == "policy.weight" ? kPolicyGain : 1, how);
    } else {
      item.value().detach().zero_();
    }
  }
}

}  // namespace

ControlOutput ControlNetwork::forward(const at::Tensor& observation) {
  if (observation.dim() != 2 || observation.size(1) != options_.observation ||
      !observation.is_floating_point()) {
    std::ostringstream given;
    given << observation.sizes() << " of " << observation.scalar_type();
    throw Error(given.str(), "(N, " + std::to_string(options_.observation) + "), floating point",
                options_.name + ", observation");
  }
  return run(observation);
}

std::shared_ptr<ControlNetwork> make_control(const ControlOptions& options) {
  checked(options);
  const GeneratorKept kept;  // LibTorch's modules draw from it when they are made; that is replaced
  std::shared_ptr<ControlNetwork> network;
  if (options.name == "dqn") network = std::make_shared<DuelingQ>(options);
  if (options.name == "ppo") network = std::make_shared<ActorCritic>(options);
  initialise_control(*network);
  return network;
}

}  // namespace halftone::models
