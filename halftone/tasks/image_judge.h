// The classifier in whose features generated images are compared with real ones.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "halftone/tasks/image_task.h"

namespace halftone::models {
class Cnn;
}

namespace halftone::tasks {

// The small network of the fashion-mnist task with the mean and covariance of its features, the 512
// before the last layer, over the held-out images. Computes in fp32 whatever the caller's autocast.
class ImageJudge {
 public:
  // content: what judge_file() gave; where: for messages. Throws Error for another.
  ImageJudge(const std::string& content, const std::string& where);

  // images: (N, 1, 28, 28) in [-1, 1], any floating-point format -> (N, 512) fp32.
  at::Tensor features(const at::Tensor& images);

  const at::Tensor& mean() const { return mean_; }
  const at::Tensor& covariance() const { return covariance_; }

 private:
  std::shared_ptr<models::Cnn> classifier_;
  at::Tensor mean_, covariance_;  // fp64
};

// Trains the classifier for an epoch in fp32 (seed 0) and writes it with the statistics to a file
// of `cache` that is named by the images; or reads it where it has been written before. Returns its
// content, safetensors. Throws Error as training and writing do.
std::string judge_file(const ImageSets& sets, const std::filesystem::path& cache);

}  // namespace halftone::tasks
