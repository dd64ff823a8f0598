// A trainer with an Objective of one's own: a metric that is better when lower, integer inputs,
// more tensors than input and target.
#include "halftone/train/objective.h"

#include "halftone/train/checkpoint.h"
#include "tests/support/scratch.h"
#include "tests/support/test.h"
#include "tests/train/rig.h"

namespace halftone {
namespace {

// Example i: tokens i % 5 and (i + 1) % 5, their mask, their sum as a floating target.
struct Pairs : data::BatchBuilder {
  std::int64_t size() const override { return 64; }
  data::Batch build(std::span<const std::int64_t> indices, std::int64_t,
                    std::uint64_t) const override {
    const auto index = torch::tensor(std::vector<std::int64_t>(indices.begin(), indices.end()));
    data::Batch batch;
    batch.input = torch::stack({index % 5, (index + 1) % 5}, 1);
    batch.target = batch.input.sum(1).to(torch::kFloat);
    batch.indices.assign(indices.begin(), indices.end());
    batch.extra["mask"] = torch::ones({batch.input.size(0), 2}, torch::kBool);
    return batch;
  }
};

struct Embedded : torch::nn::Module {
  Embedded() {
    embedding = register_module("embedding", torch::nn::Embedding(5, 8));
    head = register_module("head", torch::nn::Linear(8, 1));
  }
  torch::nn::Embedding embedding{nullptr};
  torch::nn::Linear head{nullptr};
};

// errors: what evaluations report in turn, instead of what they measure; empty: what they measure.
class SumObjective : public Objective {
 public:
  explicit SumObjective(std::shared_ptr<Embedded> net, std::vector<double> errors = {})
      : net_(std::move(net)), errors_(std::move(errors)) {}

  at::Tensor loss(const data::Batch& batch) override {
    EXPECT_EQ(batch.input.scalar_type(), at::kLong);
    const auto embedded = net_->embedding(batch.input) * batch.at("mask").unsqueeze(2);
    return torch::mse_loss(net_->head(embedded.sum(1)).squeeze(1).to(at::kFloat),
                           batch.target.to(at::kFloat));
  }
  std::vector<metrics::MetricKind> metrics() const override {
    return {{.name = "rmse", .unit = "stars", .higher_is_better = false}};
  }
  std::unique_ptr<Meter> meter() override { return std::make_unique<SumMeter>(*this); }

 private:
  struct SumMeter : Meter {
    explicit SumMeter(SumObjective& objective) : objective_(objective) {}
    void add(const data::Batch& batch) override {
      loss_.add(objective_.loss(batch).item<double>(),
                static_cast<std::int64_t>(batch.indices.size()));
    }
    std::int64_t samples() const override { return loss_.samples(); }
    double loss() const override { return loss_.mean(); }
    std::vector<metrics::MetricValue> values() const override {
      const auto turn = objective_.turn_++;
      const double error =
          turn < objective_.errors_.size() ? objective_.errors_[turn] : std::sqrt(loss_.mean());
      return {{objective_.metrics()[0], error}};
    }
    SumObjective& objective_;
    metrics::RunningLoss loss_;
  };

  std::shared_ptr<Embedded> net_;
  std::vector<double> errors_;
  mutable std::size_t turn_ = 0;
};

std::shared_ptr<Trainer> sum_trainer(const TrainerOptions& options, const std::string& policy,
                                     std::vector<double> errors = {}) {
  torch::manual_seed(3);
  auto net = std::make_shared<Embedded>();
  TrainerParts parts;
  parts.policy = Policy::preset(policy);
  halftone::apply(parts.policy, *net);
  parts.module = net;
  parts.objective = std::make_shared<SumObjective>(net, std::move(errors));
  parts.optimizer =
      std::make_shared<optim::AdamW>(net->parameters(), optim::AdamWOptions{.lr = 0.05});
  auto pairs = std::make_shared<Pairs>();
  parts.train = std::make_shared<data::Loader>(pairs, data::LoaderOptions{.batch = 16});
  parts.evaluation =
      std::make_shared<data::Loader>(pairs, data::LoaderOptions{.batch = 16, .shuffle = false});
  return std::make_shared<Trainer>(std::move(parts), options);
}

TEST(TrainerObjective, IntegersAndMasksTrainInEveryPrecision) {
  for (const char* policy : {"fp32", "bf16", "fp16", "bf16-master", "fp16-master"}) {
    const TrainResult result = sum_trainer({.epochs = 15}, policy)->run();
    EXPECT_LT(result.last.metric("rmse"), 0.5) << policy;
  }
}

TEST(TrainerObjective, BestIsTheLowestWhereLowerIsBetterAndResumes) {
  const Scratch out;
  TrainerOptions options{.epochs = 4};
  options.out = out.path();
  const TrainResult result = sum_trainer(options, "fp32", {0.9, 0.5, 0.7, 0.8})->run();
  EXPECT_EQ(result.best.epoch, 1);  // the second
  EXPECT_EQ(result.best.metric("rmse"), 0.5);
  EXPECT_EQ(result.last.metric("rmse"), 0.8);
  options.epochs = 5;
  auto resumed = sum_trainer(options, "fp32", {0.6});
  ASSERT_TRUE(resumed->resume());
  const TrainResult after = resumed->run();
  EXPECT_EQ(after.best.metric("rmse"), 0.5);  // 0.6 is worse than what the checkpoint remembers
  EXPECT_EQ(after.last.metric("rmse"), 0.6);
  EXPECT_EQ(after.best.metrics[0].kind.unit, "stars");
}

TEST(Batch, UnknownExtraTensorIsAnErrorThatNamesThoseThatAreThere) {
  data::Batch batch;
  EXPECT_ERROR(batch.at("mask"), "no extra tensor");
  batch.extra["boxes"] = torch::zeros({1});
  EXPECT_ERROR(batch.at("mask"), "batch: no \"mask\"; expected boxes");
}

}  // namespace
}  // namespace halftone
