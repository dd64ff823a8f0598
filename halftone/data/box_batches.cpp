#include "halftone/data/box_batches.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <utility>

#include "halftone/base/error.h"
#include "halftone/data/random.h"

namespace halftone::data {
namespace {

Box cut_box(const Box& box, int64_t height, int64_t width) {
  const auto bottom = static_cast<float>(height), right = static_cast<float>(width);
  return {std::clamp(box[0], 0.f, right), std::clamp(box[1], 0.f, bottom),
          std::clamp(box[2], 0.f, right), std::clamp(box[3], 0.f, bottom)};
}

template <class T>
at::Tensor copied(const std::vector<T>& values, at::IntArrayRef shape, at::ScalarType type) {
  at::Tensor tensor = at::empty(shape, type);
  std::copy(values.begin(), values.end(), tensor.mutable_data_ptr<T>());
  return tensor;
}

}  // namespace

BoxBatches::BoxBatches(std::shared_ptr<const BoxedImages> images, const BoxBatchOptions& options)
    : images_(std::move(images)), options_(options) {
  if (!images_) throw UsageError("no images", "images with boxes", "box batches");
  check(options_.view.window);
}

Batch BoxBatches::build(std::span<const int64_t> indices, int64_t epoch, uint64_t seed) const {
  const auto count = static_cast<int64_t>(indices.size());
  const auto [height, width] = std::pair(options_.view.window.height, options_.view.window.width);
  Batch batch;
  batch.input = at::empty({count, 3, height, width}, at::kFloat, at::MemoryFormat::ChannelsLast);
  batch.indices.assign(indices.begin(), indices.end());
  auto* input = batch.input.mutable_data_ptr<float>();
  std::vector<float> edges;
  std::vector<int64_t> classes, offsets{0};
  std::vector<bool> difficult;
  for (const int64_t index : indices) {
    const BoxedImage example = images_->read(index);
    const uint64_t key = stream_key(seed, epoch, static_cast<uint64_t>(index));
    const Window window = fill_view(options_.view, example.image, key, input);
    input += 3 * height * width;
    for (size_t i = 0; i < example.boxes.size(); ++i) {
      const Box moved = move_box(example.boxes[i], window, height, width);
      const Box seen = cut_box(moved, height, width);
      const double least = options_.least_visible * box_area(moved);
      if (box_area(seen) <= 0 || box_area(seen) < least) continue;
      edges.insert(edges.end(), seen.begin(), seen.end());
      classes.push_back(example.classes[i]);
      difficult.push_back(example.difficult[i]);
    }
    offsets.push_back(static_cast<int64_t>(classes.size()));
  }
  const auto total = static_cast<int64_t>(classes.size());
  batch.extra["boxes"] = copied(edges, {total, 4}, at::kFloat);
  batch.extra["classes"] = copied(classes, {total}, at::kLong);
  batch.extra["difficult"] = copied(difficult, {total}, at::kBool);
  batch.extra["offsets"] = copied(offsets, {count + 1}, at::kLong);
  return batch;
}

}  // namespace halftone::data
