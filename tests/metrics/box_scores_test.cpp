// Average precision against pycocotools and VOC's definition (tests/goldens/box_scores.py).
#include "halftone/metrics/box_scores.h"

#include <cmath>
#include <limits>

#include "halftone/base/file.h"
#include "halftone/base/json.h"
#include "tests/support/test.h"

namespace halftone::metrics {
namespace {

constexpr double kExact = 1e-12;  // sums of up to 1,010 numbers of 0 to 1 in fp64: 1010 * 2^-53

// [image, class, left, top, right, bottom, score or, of a truth, whether it is difficult]
ScoredBox box_in(const Json& row, bool truth) {
  const auto& values = row.as_array();
  ScoredBox box;
  box.klass = values[1].as_int();
  for (std::size_t k = 0; k < 4; ++k) box.box[k] = static_cast<float>(values[k + 2].as_double());
  if (truth) {
    box.difficult = values[6].as_int() == 1;
  } else {
    box.score = values[6].as_double();
  }
  return box;
}

std::vector<ScoredBox> boxes_of(const Json& rows, std::int64_t image, bool truth) {
  std::vector<ScoredBox> boxes;
  for (const Json& row : rows.as_array()) {
    if (row.as_array()[0].as_int() == image) boxes.push_back(box_in(row, truth));
  }
  return boxes;
}

TEST(BoxScoresGoldens, AreThoseOfPycocotoolsAndVoc) {
  const Json goldens = Json::parse(read_file(HALFTONE_SOURCE_DIR "/tests/goldens/box_scores.json"),
                                   "box_scores.json");
  for (const Json& golden : goldens.as_array()) {
    SCOPED_TRACE(golden.at("name").as_string());
    BoxScores scores(golden.at("classes").as_int());
    for (std::int64_t image = 0; image < golden.at("images").as_int(); ++image) {
      scores.add(boxes_of(golden.at("truths"), image, true),
                 boxes_of(golden.at("detections"), image, false));
    }
    EXPECT_NEAR(scores.mean_average_precision(0.5), golden.at("map_50").as_double(), kExact);
    EXPECT_NEAR(scores.coco_average_precision(), golden.at("map").as_double(), kExact);
    EXPECT_NEAR(scores.voc_11_point(), golden.at("voc").as_double(), kExact);
    const auto& by_class = golden.at("ap_50").as_array();
    for (std::size_t c = 0; c < by_class.size(); ++c) {
      const double ap = scores.average_precision(static_cast<std::int64_t>(c), 0.5);
      if (by_class[c].as_double() < 0) {
        EXPECT_TRUE(std::isnan(ap));
      } else {
        EXPECT_NEAR(ap, by_class[c].as_double(), kExact);
      }
    }
  }
}

TEST(BoxScores, WithoutTruthsThereIsNoPrecision) {
  BoxScores scores(2);
  scores.add({}, {{{0, 0, 9, 9}, 1, 0.5}});
  EXPECT_TRUE(std::isnan(scores.mean_average_precision(0.5)));
  EXPECT_TRUE(std::isnan(scores.coco_average_precision()));
  EXPECT_TRUE(std::isnan(scores.voc_11_point()));
}

TEST(BoxScores, ScoreThatIsNoNumberRanksLast) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  BoxScores scores(1);
  scores.add({{{0, 0, 9, 9}}}, {{{50, 50, 60, 60}, 0, nan}, {{0, 0, 9, 9}, 0, 0.1}});
  EXPECT_NEAR(scores.average_precision(0, 0.5), 1, kExact);
}

// VOC passes over every detection of a difficult object, pycocotools over one.
TEST(BoxScores, DifficultObjectsAreNeitherMissesNorFaults) {
  const ScoredBox hard{{50, 50, 60, 60}, 0, 0, true};
  BoxScores scores(1);
  scores.add({{{0, 0, 9, 9}}, hard}, {{hard.box, 0, 0.9}, {{0, 0, 9, 9}, 0, 0.8}});
  EXPECT_EQ(scores.truths(0), 1);
  EXPECT_NEAR(scores.average_precision(0, 0.5), 1, kExact);
  EXPECT_NEAR(scores.voc_11_point(), 1, kExact);
  BoxScores twice(1);
  twice.add({{{0, 0, 9, 9}}, hard},
            {{hard.box, 0, 0.9}, {hard.box, 0, 0.85}, {{0, 0, 9, 9}, 0, 0.8}});
  EXPECT_NEAR(twice.average_precision(0, 0.5), 0.5, kExact);
  EXPECT_NEAR(twice.voc_11_point(), 1, kExact);
  BoxScores only(1);
  only.add({hard}, {{hard.box, 0, 0.9}});
  EXPECT_TRUE(std::isnan(only.voc_11_point()));
}

TEST(BoxScores, AClassOutOfRangeIsAnError) {
  BoxScores scores(2);
  EXPECT_ERROR(scores.add({{{0, 0, 1, 1}, 2}}, {}), "box scores: class 2; expected 0 to 1");
  EXPECT_ERROR(scores.add({}, {{{0, 0, 1, 1}, -1}}), "class -1");
  EXPECT_ERROR(BoxScores(0), "at least 1 class");
}

TEST(BoxIou, IsSharedAreaOverAreaOfEither) {
  EXPECT_NEAR(box_iou({0, 0, 4, 4}, {2, 0, 6, 4}), 8.0 / 24, kExact);
  EXPECT_EQ(box_iou({0, 0, 4, 4}, {4, 0, 6, 4}), 0);
  EXPECT_EQ(box_iou({0, 0, 0, 0}, {0, 0, 0, 0}), 0);
  EXPECT_EQ(box_iou({1, 1, 3, 3}, {1, 1, 3, 3}), 1);
}

}  // namespace
}  // namespace halftone::metrics
