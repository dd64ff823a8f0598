#include "halftone/tasks/gan_learner.h"

#include <ATen/Functions.h>
#include <ATen/record_function.h>

#include <cmath>
#include <numbers>

#include "halftone/base/file.h"
#include "halftone/data/random.h"
#include "halftone/metrics/frechet.h"
#include "halftone/metrics/running_loss.h"
#include "halftone/tasks/image_grid.h"

namespace halftone::tasks {
namespace {

constexpr std::int64_t kShown = 64, kShownColumns = 8;

metrics::MetricKind distance_kind() {
  return {.name = "frechet_distance",
          .title = "Fréchet distance",
          .higher_is_better = false,
          .decimals = 2};
}

}  // namespace

at::Tensor latents(std::uint64_t seed, std::int64_t first, std::int64_t count,
                   std::int64_t latent) {
  const at::Tensor result = at::empty({count, latent}, at::kFloat);
  auto* out = result.mutable_data_ptr<float>();
  for (std::int64_t i = 0; i < count; ++i) {
    data::CounterRng random(data::stream_key(seed, 0, static_cast<std::uint64_t>(first + i)));
    for (std::int64_t k = 0; k < latent; ++k) {  // Box and Muller 1958
      const double radius = std::sqrt(-2 * std::log(1 - random.between(0, 1)));
      *out++ = static_cast<float>(radius * std::cos(2 * std::numbers::pi * random.between(0, 1)));
    }
  }
  return result;
}

// What an evaluation sums up; the last one's images are shown.
class GanLearner::DistanceMeter : public Meter {
 public:
  explicit DistanceMeter(GanLearner& learner) : learner_(learner) {}

  void add(const data::Batch& batch) override {
    const at::Tensor images = learner_.network_->generator()->forward(batch.input);
    const at::Tensor scores = learner_.network_->discriminator()->forward(images);
    loss_.add(learner_.generator_loss(scores).item<double>(), images.size(0));
    statistics_.add(learner_.judge_->features(images));
    if (shown_ >= kShown) return;
    const at::Tensor some =
        images.narrow(0, 0, std::min(kShown - shown_, images.size(0))).to(at::kCPU, at::kFloat);
    learner_.shown_ = shown_ ? at::cat({learner_.shown_, some}) : some;
    shown_ += some.size(0);
  }
  std::int64_t samples() const override { return loss_.samples(); }
  double loss() const override { return loss_.mean(); }
  std::vector<metrics::MetricValue> values() const override {
    const ImageJudge& judge = *learner_.judge_;
    return {
        {distance_kind(), metrics::frechet_distance(statistics_.mean(), statistics_.covariance(),
                                                    judge.mean(), judge.covariance())}};
  }

 private:
  GanLearner& learner_;
  metrics::RunningLoss loss_;
  metrics::FeatureStatistics statistics_;
  std::int64_t shown_ = 0;
};

at::Tensor GanLearner::discriminator_loss(const at::Tensor& real,
                                          const at::Tensor& generated) const {
  if (kind_ == GanLoss::hinge) return (1 - real).relu().mean() + (1 + generated).relu().mean();
  return at::softplus(-real).mean() + at::softplus(generated).mean();
}

at::Tensor GanLearner::generator_loss(const at::Tensor& generated) const {
  return kind_ == GanLoss::hinge ? -generated.mean() : at::softplus(-generated).mean();
}

at::Tensor GanLearner::phase_loss(const data::Batch& batch, std::int64_t phase) {
  const at::Tensor latent =
      at::randn({batch.input.size(0), network_->options().latent}, batch.input.options());
  auto& judges = *network_->discriminator();
  if (phase == 1) {
    const at::Tensor scores = judges.forward(network_->generator()->forward(latent));
    RECORD_USER_SCOPE("loss");
    return generator_loss(scores);
  }
  at::Tensor generated;
  {
    const at::NoGradGuard no_grad;
    generated = network_->generator()->forward(latent);
  }
  const at::Tensor real_scores = judges.forward(batch.input);
  const at::Tensor generated_scores = judges.forward(generated);
  RECORD_USER_SCOPE("loss");
  return discriminator_loss(real_scores, generated_scores);
}

std::vector<metrics::MetricKind> GanLearner::metrics() const { return {distance_kind()}; }

std::unique_ptr<Meter> GanLearner::meter() { return std::make_unique<DistanceMeter>(*this); }

std::string GanLearner::picture() const {
  return shown_.defined() ? image_grid(shown_, kShownColumns) : "";
}

Answers GanLearner::predict(const std::vector<std::string>& inputs, const PredictOptions& options) {
  Answers answers;
  answers.json = Json::array();
  const auto seed = static_cast<std::uint64_t>(options.seed.value_or(0));
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const at::Tensor latent =
        latents(seed, static_cast<std::int64_t>(i) * kShown, kShown, network_->options().latent);
    write_file(inputs[i], image_grid(network_->generator()->forward(latent), kShownColumns));
    answers.text += std::to_string(kShown) + " images in " + inputs[i] + "\n";
    Json entry;
    entry["file"] = inputs[i];
    entry["images"] = kShown;
    answers.json.push_back(std::move(entry));
  }
  return answers;
}

}  // namespace halftone::tasks
