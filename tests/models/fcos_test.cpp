// Fcos against the same network written in Python PyTorch (tests/goldens/fcos.py).
#include "halftone/models/fcos.h"

#include "halftone/models/fcos_loss.h"
#include "halftone/precision/autocast.h"
#include "tests/models/golden.h"

namespace halftone::models {
namespace {

std::vector<std::int64_t> fcos_shape(const Json& golden) {
  std::vector<std::int64_t> shape;
  for (const Json& extent : golden.at("shape").as_array()) shape.push_back(extent.as_int());
  return shape;
}

// As data::BoxBatches packs them.
struct PackedBoxes {
  at::Tensor boxes, classes, offsets;
};

PackedBoxes packed_boxes(const Json& golden) {
  std::vector<float> edges;
  std::vector<std::int64_t> classes, offsets{0};
  const auto& images = golden.at("boxes").as_array();
  for (std::size_t n = 0; n < images.size(); ++n) {
    for (const Json& box : images[n].as_array()) {
      for (const Json& edge : box.as_array()) edges.push_back(static_cast<float>(edge.as_double()));
    }
    for (const Json& klass : golden.at("of_class").as_array()[n].as_array()) {
      classes.push_back(klass.as_int());
    }
    offsets.push_back(static_cast<std::int64_t>(classes.size()));
  }
  return {at::tensor(edges).reshape({-1, 4}), at::tensor(classes), at::tensor(offsets)};
}

// What fcos.py samples: of image 0, every seventh number.
at::Tensor sampled_output(const at::Tensor& rows) {
  return rows[0].flatten().slice(0, 0, at::nullopt, 7).contiguous();
}

TEST(FcosGoldens, LossOutputAndGradientsInFp64) {
  const Json golden = golden::read("fcos.json");
  Fcos network({.classes = golden.at("classes").as_int(),
                .width = golden.at("width").as_int(),
                .depth = golden.at("depth").as_int()});
  golden::fill_parameters(network);
  {
    torch::NoGradGuard no_grad;
    for (auto& item : network.named_parameters()) {
      if (item.key().find("head.weight") != std::string::npos) item.value().div_(10);
    }
  }
  network.to(torch::kDouble);
  torch::NoGradGuard no_grad;
  for (auto& item : network.named_parameters()) {  // 1/10 in fp64, as in Python
    if (item.key().find("head.weight") == std::string::npos) continue;
    item.value().copy_(golden::fill(item.key(), item.value().sizes()).to(torch::kDouble) / 10);
  }
  at::AutoGradMode gradients(true);
  const auto shape = fcos_shape(golden);
  const auto x = golden::unit(c10::multiply_integers(shape), "input").reshape(shape);
  const FcosOutput output = network.forward(x);
  const auto near = [&](const at::Tensor& given, const char* key) {
    EXPECT_LT(golden::difference(sampled_output(given), golden::numbers(golden.at(key))),
              tolerance::kFp64Network)
        << key;
  };
  near(output.logits, "logits");
  near(output.distances, "distances");
  near(output.centredness, "centredness");
  const PackedBoxes packed = packed_boxes(golden);
  const auto loss = fcos_loss(output, packed.boxes, packed.classes, packed.offsets);
  // The targets' centredness is fp32.
  EXPECT_NEAR(loss.item<double>(), golden.at("loss").as_double(), 10 * tolerance::kFp32Unit);
  loss.backward();
  std::size_t seen = 0;
  const auto& expected = golden.at("gradients");
  for (const auto& item : network.named_parameters()) {
    const auto* pair = expected.find(item.key());
    ASSERT_NE(pair, nullptr) << item.key();
    const double norm = pair->as_array()[0].as_double();
    EXPECT_NEAR(item.value().grad().norm().item<double>(), norm,
                tolerance::kFp32 * norm + tolerance::kFp64Zero)
        << item.key();
    ++seen;
  }
  EXPECT_EQ(seen, expected.as_object().size());
}

TEST(FcosTargets, LocationsFindTheSmallestBoxOfTheirLevel) {
  const at::Tensor locations = at::tensor({4.f, 4.f, 12.f, 12.f, 16.f, 16.f}).reshape({3, 2});
  const at::Tensor strides = at::tensor({8.f, 8.f, 32.f});
  // A small box within a large one.
  const at::Tensor boxes = at::tensor({0.f, 0.f, 14.f, 14.f, 0.f, 0.f, 26.f, 26.f}).reshape({2, 4});
  const FcosTargets targets = fcos_targets(locations, strides, boxes, at::tensor({5L, 6L}), 9);
  EXPECT_EQ(targets.classes[0].item<std::int64_t>(), 5);
  EXPECT_TRUE(at::equal(targets.distances[0], at::tensor({4.f, 4.f, 10.f, 10.f})));
  EXPECT_NEAR(targets.centredness[0].item<double>(), 0.4, tolerance::kFp32);
  EXPECT_EQ(targets.classes[1].item<std::int64_t>(), 5);
  EXPECT_EQ(targets.classes[2].item<std::int64_t>(), 9);  // both are too small for its level
  const FcosTargets none =
      fcos_targets(locations, strides, at::empty({0, 4}), at::empty({0}, at::kLong), 9);
  EXPECT_TRUE(none.classes.eq(9).all().item<bool>());
}

TEST(FcosLoss, ImagesWithoutBoxesTrainAndGiveNoNan) {
  for (const char* preset : {"fp32", "bf16", "fp16"}) {
    Fcos network({.classes = 2, .width = 16, .depth = 1});
    const Autocast autocast(Policy::preset(preset));
    const FcosOutput output = network.forward(at::randn({2, 3, 64, 64}));
    EXPECT_EQ(output.logits.scalar_type(), at::kFloat);
    const auto loss =
        fcos_loss(output, at::empty({0, 4}), at::empty({0}, at::kLong), at::zeros({3}, at::kLong));
    EXPECT_EQ(loss.scalar_type(), at::kFloat);
    loss.backward();
    for (const auto& item : network.named_parameters()) {
      ASSERT_TRUE(item.value().grad().defined()) << item.key();
      EXPECT_TRUE(item.value().grad().isfinite().all().item<bool>()) << item.key();
    }
  }
}

// One location says what the boxes are; the others are sure of nothing.
FcosOutput output_of(const std::vector<std::array<float, 5>>& boxes_and_logits) {
  const auto count = static_cast<std::int64_t>(boxes_and_logits.size());
  FcosOutput output{at::full({1, count, 2}, -20.f), at::empty({1, count, 4}),
                    at::full({1, count}, 20.f), at::full({count, 2}, 30.f), at::ones({count})};
  for (std::int64_t i = 0; i < count; ++i) {
    const auto& [left, top, right, bottom, logit] = boxes_and_logits[static_cast<std::size_t>(i)];
    output.distances[0][i] = at::tensor({30 - left, 30 - top, right - 30, bottom - 30});
    output.logits[0][i][0] = logit;
  }
  return output;
}

TEST(FcosDetections, SuppressOverlapsWithinAClassAndAreCutToTheImage) {
  FcosOutput output = output_of({{20, 20, 40, 40, 1}, {21, 20, 41, 40, 3}, {-5, 0, 70, 60, 2}});
  auto found = fcos_detections(output, 0, 50, 60);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].box, (Box{21, 20, 41, 40}));  // the surer of two
  EXPECT_NEAR(found[0].score, std::sqrt(1 / (1 + std::exp(-3))), tolerance::kFp32);
  EXPECT_EQ(found[1].box, (Box{0, 0, 60, 50}));
  EXPECT_EQ(found[1].klass, 0);
  output.logits[0][0][0] = -20.f;
  output.logits[0][0][1] = 1.f;  // of another class: it stays
  EXPECT_EQ(fcos_detections(output, 0, 50, 60).size(), 3u);
  output.logits[0][1][0] = NAN;
  for (const DetectedBox& box : fcos_detections(output, 0, 50, 60)) EXPECT_GT(box.score, 0.05);
  EXPECT_EQ(fcos_detections(output, 0, 50, 60, {.detections = 1}).size(), 1u);
}

TEST(Fcos, WhatDoesNotFitIsAnError) {
  EXPECT_ERROR(Fcos({.classes = 0}), "fcos, classes: 0; expected 1 or more");
  EXPECT_ERROR(Fcos({.width = 12}), "fcos, width: 12; expected a multiple of 8");
  Fcos network({.width = 8, .depth = 0});
  EXPECT_ERROR(network.forward(at::zeros({1, 1, 64, 64})), "an input [1, 1, 64, 64]");
}

}  // namespace
}  // namespace halftone::models
