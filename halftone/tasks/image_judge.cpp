#include "halftone/tasks/image_judge.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

#include "halftone/base/error.h"
#include "halftone/base/file.h"
#include "halftone/data/random.h"
#include "halftone/metrics/frechet.h"
#include "halftone/models/small.h"
#include "halftone/ops/generator.h"
#include "halftone/precision/autocast.h"
#include "halftone/tasks/loaders.h"
#include "halftone/tasks/session.h"
#include "halftone/train/weights.h"

namespace halftone::tasks {
namespace {

constexpr std::int64_t kJudgeBatch = 250;
constexpr const char* kMeanName = "features.mean";
constexpr const char* kCovarianceName = "features.covariance";

const ImageTask& classification() { return dynamic_cast<const ImageTask&>(fashion_mnist_task()); }

std::shared_ptr<models::Cnn> new_classifier() {
  return std::dynamic_pointer_cast<models::Cnn>(
      models::make_network(classification().network("cnn")));
}

// Pixels of 0 to 1 as the classifier was trained on them.
at::Tensor normalised(const at::Tensor& pixels) {
  const data::Augmentation how = classification().augmentation();
  return (pixels - how.mean[0]) / how.standard_deviation[0];
}

// A hash of all pixels and labels.
std::uint64_t fingerprint(const data::Dataset& images, std::uint64_t hash) {
  const auto [channels, height, width] = images.image_shape();
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(channels * height * width));
  for (std::int64_t i = 0; i < images.size(); ++i) {
    images.read_image(i, pixels.data());
    for (std::size_t at = 0; at < pixels.size(); at += sizeof(std::uint64_t)) {
      std::uint64_t word = 0;
      std::memcpy(&word, &pixels[at], std::min(sizeof word, pixels.size() - at));
      hash = data::mix64(hash ^ word);
    }
    hash = data::mix64(hash ^ static_cast<std::uint64_t>(images.label(i)));
  }
  return hash;
}

NamedTensors train_judge(const ImageSets& sets) {
  const GeneratorKept kept;
  RunConfig config;
  config.task = fashion_mnist_task().name();
  config.model = "cnn";
  const TaskDefaults defaults = fashion_mnist_task().defaults(config.model);
  config.epochs = 1;
  config.batch = std::min(defaults.batch, sets.train->size());
  config.lr = defaults.lr;
  config.weight_decay = defaults.weight_decay;
  config.policy = Policy::preset("fp32");
  Session session = make_session(config, *image_data(classification(), sets));
  session.trainer->run();

  auto& classifier = dynamic_cast<models::Cnn&>(*session.learner->module());
  classifier.eval();
  const at::NoGradGuard no_grad;
  metrics::FeatureStatistics statistics;
  session.evaluation->start_epoch(0);
  while (const auto batch = session.evaluation->next()) {
    statistics.add(classifier.features(batch->input));
  }
  NamedTensors result = named_weights(classifier);
  result.emplace_back(kMeanName, statistics.mean());
  result.emplace_back(kCovarianceName, statistics.covariance());
  return result;
}

at::Tensor taken(NamedTensors& tensors, const std::string& name, const std::string& where) {
  for (auto each = tensors.begin(); each != tensors.end(); ++each) {
    if (each->first != name) continue;
    const at::Tensor result = each->second;
    tensors.erase(each);
    return result;
  }
  throw Error("no " + name, "a classifier with the statistics of its features", where);
}

}  // namespace

ImageJudge::ImageJudge(const std::string& content, const std::string& where)
    : classifier_(new_classifier()) {
  NamedTensors tensors = parse_safetensors(content, where).tensors;
  mean_ = taken(tensors, kMeanName, where);
  covariance_ = taken(tensors, kCovarianceName, where);
  set_weights(*classifier_, tensors, where);
  classifier_->eval();
}

at::Tensor ImageJudge::features(const at::Tensor& images) {
  const AutocastDisabled fp32;
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> parts;
  for (const at::Tensor& part : images.to(at::kFloat).split(kJudgeBatch)) {
    parts.push_back(classifier_->features(normalised((part + 1) / 2)));
  }
  return at::cat(parts);
}

std::string judge_file(const ImageSets& sets, const std::filesystem::path& cache) {
  const auto key = fingerprint(*sets.evaluation, fingerprint(*sets.train, 0));
  char name[48];
  std::snprintf(name, sizeof name, "judge-%016llx.safetensors",
                static_cast<unsigned long long>(key));
  const auto path = cache / name;
  if (!std::filesystem::exists(path)) {
    make_directories(cache);
    write_safetensors(path, train_judge(sets));
  }
  return read_file(path);
}

}  // namespace halftone::tasks
