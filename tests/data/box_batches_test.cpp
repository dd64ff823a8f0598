#include "halftone/data/box_batches.h"

#include <ATen/Functions.h>

#include "halftone/data/loader.h"
#include "tests/support/test.h"

namespace halftone::data {
namespace {

// Image i has i % 4 bright squares of 8x8 on black, each in its box.
struct SquareImages : BoxedImages {
  int64_t size() const override { return 10; }
  BoxedImage read(int64_t index) const override {
    BoxedImage example{at::zeros({3, 40, 60}, at::kByte), {}, {}, {}};
    for (int64_t k = 0; k < index % 4; ++k) {
      const int64_t left = 4 + 18 * k, top = 4 + 2 * index;
      example.image.slice(1, top, top + 8).slice(2, left, left + 8).fill_(255);
      example.boxes.push_back({static_cast<float>(left), static_cast<float>(top),
                               static_cast<float>(left + 8), static_cast<float>(top + 8)});
      example.classes.push_back(k);
      example.difficult.push_back(k == 1);
    }
    return example;
  }
};

BoxBatchOptions square_options() {
  BoxBatchOptions options;
  options.view.window = {.height = 80,
                         .width = 120,
                         .least_scale = 0.8,
                         .most_scale = 1.5,
                         .horizontal_flip = true,
                         .vertical_flip = true};
  options.view.augment = true;
  return options;
}

std::vector<Batch> square_batches(int workers) {
  LoaderOptions options;
  options.batch = 3;
  options.seed = 5;
  options.workers = workers;
  Loader loader(std::make_shared<BoxBatches>(std::make_shared<SquareImages>(), square_options()),
                options);
  std::vector<Batch> batches;
  for (const int64_t epoch : {0, 1, 2}) {
    loader.start_epoch(epoch);
    while (auto batch = loader.next()) batches.push_back(std::move(*batch));
  }
  return batches;
}

TEST(BoxBatches, BoxesMoveWithTheImageAndAreCutToIt) {
  int64_t seen = 0;
  for (const Batch& batch : square_batches(1)) {
    const at::Tensor &boxes = batch.at("boxes"), &offsets = batch.at("offsets");
    EXPECT_EQ(offsets.size(0), batch.input.size(0) + 1);
    EXPECT_EQ(boxes.size(0), batch.at("classes").size(0));
    EXPECT_TRUE(at::equal(batch.at("difficult"), batch.at("classes").eq(1)));
    for (int64_t n = 0; n < batch.input.size(0); ++n) {
      for (auto i = offsets[n].item<int64_t>(); i < offsets[n + 1].item<int64_t>(); ++i) {
        const auto edge = [&](int k) { return boxes[i][k].item<float>(); };
        EXPECT_GE(edge(0), 0);
        EXPECT_LE(edge(2), 120);
        EXPECT_LE(edge(3), 80);
        const auto whole = [](float value) { return static_cast<int64_t>(value); };
        const at::Tensor inside = batch.input[n][0]
                                      .slice(0, whole(edge(1)) + 2, whole(edge(3)) - 1)
                                      .slice(1, whole(edge(0)) + 2, whole(edge(2)) - 1);
        if (inside.numel() == 0) continue;
        ++seen;
        EXPECT_GT(inside.min().item<double>(), 0.6);  // bright within, but for the blurred edge
      }
    }
  }
  EXPECT_GT(seen, 20);
}

TEST(BoxBatches, AreTheSameForAnyNumberOfWorkers) {
  const auto serial = square_batches(0), parallel = square_batches(3);
  ASSERT_EQ(serial.size(), parallel.size());
  for (size_t i = 0; i < serial.size(); ++i) {
    EXPECT_TRUE(at::equal(serial[i].input, parallel[i].input));
    for (const char* name : {"boxes", "classes", "offsets"}) {
      EXPECT_TRUE(at::equal(serial[i].at(name), parallel[i].at(name))) << name;
    }
  }
}

TEST(BoxBatches, WholeImagesKeepEveryBoxAndImagesWithoutAnyHaveNone) {
  BoxBatchOptions options;
  options.view.window = {.height = 20, .width = 30};
  const BoxBatches batches(std::make_shared<SquareImages>(), options);
  const std::vector<int64_t> indices{0, 2};
  const Batch batch = batches.build(indices, 0, 0);
  EXPECT_TRUE(at::equal(batch.at("offsets"), at::tensor({0L, 0L, 2L})));
  EXPECT_TRUE(at::equal(batch.at("boxes")[0], at::tensor({2.f, 4.f, 6.f, 8.f})));
  const std::vector<int64_t> empty{0, 4};
  EXPECT_EQ(batches.build(empty, 0, 0).at("boxes").sizes(), at::IntArrayRef({0, 4}));
}

}  // namespace
}  // namespace halftone::data
