// Generation: a DCGAN draws clothing as in Fashion-MNIST.
#include <ATen/Functions.h>

#include <algorithm>

#include "halftone/data/batch_builder.h"
#include "halftone/data/image_batches.h"
#include "halftone/data/sets/fashion_mnist.h"
#include "halftone/tasks/gan_learner.h"
#include "halftone/tasks/loaders.h"

namespace halftone::tasks {
namespace {

constexpr const char* kJudgeFile = "judge.safetensors";
constexpr std::int64_t kGenerated = 5000;        // in an evaluation, at most
constexpr std::uint64_t kLatentSeed = 0xfa5410;  // of an evaluation's latents

// The same every time.
class Latents : public data::BatchBuilder {
 public:
  Latents(std::int64_t count, std::int64_t latent) : count_(count), latent_(latent) {}
  std::int64_t size() const override { return count_; }
  data::Batch build(std::span<const std::int64_t> indices, std::int64_t,
                    std::uint64_t) const override {
    std::vector<at::Tensor> rows;
    for (const std::int64_t index : indices) {
      rows.push_back(latents(kLatentSeed, index, 1, latent_));
    }
    return {.input = at::cat(rows), .indices = {indices.begin(), indices.end()}};
  }

 private:
  std::int64_t count_, latent_;
};

class GanData : public TaskData {
 public:
  explicit GanData(ImageSets sets)
      : sets_(std::move(sets)), judge_(judge_file(sets_, cache_directory("fashion-gan"))) {}

  // Pixels in [-1, 1].
  std::shared_ptr<data::BatchSource> train(const RunConfig& config, Learner&) const override {
    return train_loader(
        std::make_shared<data::ImageBatches>(
            sets_.train, data::Augmentation{.mean = {0.5}, .standard_deviation = {0.5}}),
        config, "images");
  }
  std::shared_ptr<data::BatchSource> evaluation(std::int64_t batch, Learner&) const override {
    const std::int64_t count = std::min(kGenerated, sets_.evaluation->size());
    return evaluation_loader(std::make_shared<Latents>(count, models::DcganOptions{}.latent),
                             batch);
  }
  Assets assets() const override { return {{kJudgeFile, judge_}}; }

 private:
  ImageSets sets_;
  std::string judge_;
};

class FashionGan : public Task {
 public:
  const TaskFacts& facts() const override {
    static const TaskFacts facts{
        .name = "fashion-gan",
        .summary = "pictures of clothing are generated, 28x28 grey; two optimizers, one scaler",
        .noun = "images",
        .models = {"dcgan-hinge", "dcgan-bce"},
        .source = fashion_mnist_task().facts().source,
        .files = fashion_mnist_task().facts().files,
        .time =
            "some minutes; the first time half a minute more for the classifier that judges "
            "(two cores)",
        .assets = {kJudgeFile},
        .slow_to_read = true};
    return facts;
  }

  TaskDefaults defaults(const std::string&) const override {
    return {6,
            128,
            5e-4,
            0,
            {.optimizer = OptimizerKind::adamw,
             .betas = {0.5, 0.999},
             .schedule = ScheduleKind::warm_up_cosine,
             .min_factor = 0.1}};
  }

  std::filesystem::path find_data() const override { return data::find_fashion_mnist(); }
  std::shared_ptr<const TaskData> open(const std::filesystem::path& data,
                                       const OpenOptions&) const override {
    return std::make_shared<GanData>(
        ImageSets{data::fashion_mnist(data, true), data::fashion_mnist(data, false)});
  }

  std::shared_ptr<Learner> learner(const RunConfig& config, const Assets& assets) const override {
    const models::DcganOptions options{.seed = config.seed, .init = config.policy.init};
    return std::make_shared<GanLearner>(
        std::make_shared<models::Dcgan>(options),
        config.model == "dcgan-hinge" ? GanLoss::hinge : GanLoss::bce,
        std::make_shared<ImageJudge>(assets.at(kJudgeFile), kJudgeFile));
  }
};

}  // namespace

const Task& fashion_gan_task() {
  static const FashionGan task;
  return task;
}

}  // namespace halftone::tasks
