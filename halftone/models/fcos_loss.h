// What FCOS learns from boxes, and the boxes that its output stands for.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "halftone/base/box.h"
#include "halftone/base/export.h"
#include "halftone/models/fcos.h"

namespace halftone::models {

struct FcosTargets {
  at::Tensor classes;      // (L), int64; the number of classes where there is nothing
  at::Tensor distances;    // (L, 4), fp32; of the edges, 0 where there is nothing
  at::Tensor centredness;  // (L), fp32; 1 in the middle of the box
};

// boxes: (M, 4), fp32, left, top, right, bottom; classes: (M), int64; M may be 0. A location is a
// box's where it lies in it and no further than 1.5 strides from its middle, and where the box's
// furthest edge is as far as its level takes: up to 4 strides, more than the level before (FCOS,
// 3.2; for smaller images half of its ranges); the smallest box of several.
HALFTONE_API FcosTargets fcos_targets(const at::Tensor& locations, const at::Tensor& strides,
                                      const at::Tensor& boxes, const at::Tensor& classes,
                                      std::int64_t class_count);

// Focal loss (Lin et al., ICCV 2017: alpha 0.25, gamma 2), generalised IoU weighted by centredness
// (Rezatofighi et al., CVPR 2019) and cross entropy of centredness, each over the locations that
// have a box; a scalar, in fp32 (fp64 of fp64). boxes (total, 4), classes (total) and offsets (N +
// 1) as data::BoxBatches packs them.
HALFTONE_API at::Tensor fcos_loss(const FcosOutput& output, const at::Tensor& boxes,
                                  const at::Tensor& classes, const at::Tensor& offsets);

struct DetectedBox {
  Box box{};  // in pixels of the input
  std::int64_t klass = 0;
  double score = 0;  // root of the class's probability times centredness
};

struct DetectionOptions {
  double least_score = 0.05;
  std::int64_t candidates = 400;  // before suppression, the best
  double most_iou = 0.5;          // of two boxes of a class that both stay
  std::int64_t detections = 100;  // the most of an image
};

// Of image n, cut to (height, width), the best first. Greedy non-maximum suppression by class.
// NaN is never detected.
HALFTONE_API std::vector<DetectedBox> fcos_detections(const FcosOutput& output, std::int64_t n,
                                                      std::int64_t height, std::int64_t width,
                                                      const DetectionOptions& options = {});

}  // namespace halftone::models
