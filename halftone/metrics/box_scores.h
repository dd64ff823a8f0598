// What detections are worth: average precision as COCO and as PASCAL VOC compute it.
#pragma once

#include <cstdint>
#include <vector>

#include "halftone/base/box.h"
#include "halftone/base/export.h"

namespace halftone::metrics {

struct ScoredBox {
  Box box{};
  std::int64_t klass = 0;
  double score = 0;        // of what was detected; not looked at of what is there
  bool difficult = false;  // of what is there: neither to be found nor a fault to find
};

// Torch-free; not thread-safe. Numbers are those of pycocotools (bbox, all areas, at most 100
// detections per image and class, no crowds; what is difficult is what it ignores) and, for
// voc_11_point(), of VOC's development kit up to 2009. A NaN score ranks last.
class HALFTONE_API BoxScores {
 public:
  explicit BoxScores(std::int64_t classes);

  // One image. Throws Error for a class out of range.
  void add(const std::vector<ScoredBox>& truths, const std::vector<ScoredBox>& detections);

  std::int64_t classes() const { return static_cast<std::int64_t>(truths_.size()); }
  // That are not difficult.
  std::int64_t truths(std::int64_t klass) const { return truths_.at(index(klass)); }

  // Mean of the interpolated precision at the 101 recalls 0, 0.01, …, 1; detections and what is
  // there match from this IoU on. NaN where nothing is there.
  double average_precision(std::int64_t klass, double iou) const;
  // Over the classes that are there; NaN where none is.
  double mean_average_precision(double iou) const;
  // Over the IoUs 0.5, 0.55, …, 0.95 as well.
  double coco_average_precision() const;
  // Over classes, at IoU 0.5: mean of the interpolated precision at the 11 recalls 0, 0.1, …, 1.
  double voc_11_point() const;

 private:
  struct Image {
    std::vector<ScoredBox> truths, detections;  // of one class; detections by falling score
  };
  struct Verdict {
    double score;
    bool right;
  };
  static std::size_t index(std::int64_t klass) { return static_cast<std::size_t>(klass); }
  std::vector<Verdict> judged(std::int64_t klass, double iou, bool voc) const;

  std::vector<std::int64_t> truths_;
  std::vector<std::vector<Image>> images_;  // [class]
};

}  // namespace halftone::metrics
