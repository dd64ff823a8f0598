#include "halftone/tasks/control_learner.h"

#include <ATen/Functions.h>
#include <ATen/record_function.h>

#include <cmath>
#include <cstdio>

#include "halftone/base/error.h"
#include "halftone/base/text.h"
#include "halftone/data/episodes.h"
#include "halftone/metrics/running_loss.h"
#include "halftone/report/text_table.h"

namespace halftone::tasks {
namespace {

// Schulman et al. 2017, section 6.1 and table 3.
constexpr double kClip = 0.2, kValueWeight = 0.5, kEntropyWeight = 0.01;
constexpr double kLeastDeviation = 1e-8;

metrics::MetricKind return_kind() { return {.name = "mean_return", .decimals = 1}; }

struct Played {
  at::Tensor value;  // (N) of the first states, as the network foretold it
  std::vector<double> total, discounted;
  std::vector<std::int64_t> steps;
  std::vector<bool> terminated;  // false: truncated
};

at::Tensor observations(const data::Environment& environment, const at::Tensor& states) {
  const std::int64_t count = states.size(0);
  const at::Tensor result = at::empty({count, environment.observation_size()}, at::kFloat);
  for (std::int64_t i = 0; i < count; ++i) {
    environment.observe(
        {states[i].const_data_ptr<double>(), static_cast<std::size_t>(states.size(1))},
        {result[i].mutable_data_ptr<float>(), static_cast<std::size_t>(result.size(1))});
  }
  return result;
}

// All episodes in step; one that has ended stands still.
Played play(const data::Environment& environment, models::ControlNetwork& network,
            const at::Tensor& first_states, const at::Device& device) {
  const at::Tensor states =
      first_states.to(at::kCPU, at::kDouble, false, /*copy=*/true).contiguous();
  const auto count = static_cast<std::size_t>(states.size(0));
  Played played{{},
                std::vector<double>(count),
                std::vector<double>(count),
                std::vector<std::int64_t>(count),
                std::vector<bool>(count)};
  std::size_t ended = 0;
  double discount = 1;
  for (std::int64_t step = 0; step < environment.step_limit() && ended < count; ++step) {
    const auto output = network.forward(observations(environment, states).to(device));
    if (step == 0) played.value = output.value.to(at::kCPU, at::kDouble);
    const at::Tensor actions = output.scores.argmax(1).cpu();
    for (std::size_t i = 0; i < count; ++i) {
      if (played.terminated[i]) continue;
      const auto row = static_cast<std::int64_t>(i);
      const data::Outcome outcome = environment.step(
          {states[row].mutable_data_ptr<double>(), static_cast<std::size_t>(states.size(1))},
          actions.const_data_ptr<std::int64_t>()[row]);
      played.total[i] += outcome.reward;
      played.discounted[i] += discount * outcome.reward;
      ++played.steps[i];
      played.terminated[i] = outcome.terminated;
      ended += outcome.terminated;
    }
    discount *= kDiscount;
  }
  return played;
}

class ReturnMeter : public Meter {
 public:
  ReturnMeter(const data::Environment& environment, models::ControlNetwork& network)
      : environment_(environment), network_(network) {}

  void add(const data::Batch& batch) override {
    const Played played = play(environment_, network_, batch.input, batch.input.device());
    const at::Tensor came = at::tensor(played.discounted, at::kDouble);
    loss_.add(at::smooth_l1_loss(played.value, came).item<double>(), came.size(0));
    returns_.insert(returns_.end(), played.total.begin(), played.total.end());
  }
  std::int64_t samples() const override { return loss_.samples(); }
  double loss() const override { return loss_.mean(); }
  std::vector<metrics::MetricValue> values() const override { return {{return_kind(), mean()}}; }

  EvaluationDetails details() const override {
    EvaluationDetails details;
    double squares = 0;
    Json list = Json::array();
    for (const double each : returns_) {
      squares += (each - mean()) * (each - mean());
      list.push_back(each);
    }
    const double deviation = std::sqrt(squares / static_cast<double>(returns_.size()));
    const double least = *std::min_element(returns_.begin(), returns_.end());
    details.metrics = {{{.name = "deviation", .decimals = 1}, deviation},
                       {{.name = "least_return", .decimals = 1}, least}};
    details.json["returns"] = std::move(list);
    return details;
  }

 private:
  double mean() const {
    double sum = 0;
    for (const double each : returns_) sum += each;
    return sum / static_cast<double>(returns_.size());
  }

  const data::Environment& environment_;
  models::ControlNetwork& network_;
  metrics::RunningLoss loss_;
  std::vector<double> returns_;
};

at::Tensor taken(const at::Tensor& of_actions, const data::Batch& batch) {
  return of_actions.gather(1, batch.at("action").unsqueeze(1)).squeeze(1);
}

at::Tensor ppo_loss(const models::ControlOutput& output, const data::Batch& batch) {
  const at::Tensor log_probabilities = output.scores.log_softmax(1);
  const at::Tensor given = batch.at("advantage");
  const at::Tensor advantage =
      (given - given.mean()) / (given.std(/*unbiased=*/false) + kLeastDeviation);
  const at::Tensor ratio = (taken(log_probabilities, batch) - batch.at("log_probability")).exp();
  const at::Tensor surrogate =
      at::minimum(ratio * advantage, ratio.clamp(1 - kClip, 1 + kClip) * advantage).mean();
  const at::Tensor entropy = -(log_probabilities.exp() * log_probabilities).sum(1).mean();
  const at::Tensor value_error = at::mse_loss(output.value, batch.target);
  return kValueWeight * value_error - surrogate - kEntropyWeight * entropy;
}

}  // namespace

at::Tensor ControlLearner::loss(const data::Batch& batch) {
  const models::ControlOutput output = network_->forward(batch.input);
  RECORD_USER_SCOPE("loss");
  if (network_->options().name == "ppo") return ppo_loss(output, batch);
  return at::mse_loss(taken(output.scores, batch), batch.target);
}

std::vector<metrics::MetricKind> ControlLearner::metrics() const { return {return_kind()}; }

std::unique_ptr<Meter> ControlLearner::meter() {
  return std::make_unique<ReturnMeter>(environment_, *network_);
}

Answers ControlLearner::predict(const std::vector<std::string>& inputs, const PredictOptions&) {
  std::vector<at::Tensor> states;
  for (const std::string& input : inputs) {
    const auto seed = parse_int(input);
    if (!seed || *seed < 0) {
      throw UsageError(quote(input), "the seed of an episode, a whole number of at least 0",
                       "predict");
    }
    states.push_back(data::first_states(environment_, 1, static_cast<std::uint64_t>(*seed)));
  }
  Answers answers;
  answers.json = Json::array();
  report::TextTable table({"seed", "return", "steps", "end"});
  for (std::size_t i = 0; i < inputs.size(); ++i) {  // one by one: no answer depends on another
    const Played played =
        play(environment_, *network_, states[i], network_->parameters()[0].device());
    const char* end = played.terminated[0] ? "terminated" : "truncated";
    table.add_row({inputs[i], metrics::show(return_kind(), played.total[0]),
                   std::to_string(played.steps[0]), end});
    Json entry;
    entry["seed"] = *parse_int(inputs[i]);
    entry["return"] = played.total[0];
    entry["steps"] = played.steps[0];
    entry["end"] = end;
    answers.json.push_back(std::move(entry));
  }
  answers.text = table.str();
  return answers;
}

}  // namespace halftone::tasks
