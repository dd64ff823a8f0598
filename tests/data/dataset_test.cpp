#include "halftone/data/dataset.h"

#include <thread>

#include "tests/data/sets_for_tests.h"
#include "tests/support/test.h"

namespace halftone::data {
namespace {

TEST(MemoryDataset, GivesImagesLabelsAndNames) {
  const auto set = numbered_images(12);
  EXPECT_EQ(set->size(), 12);
  EXPECT_EQ(set->classes(), 10);
  EXPECT_EQ(set->class_names()[9], "j");
  EXPECT_EQ(set->image_shape(), (std::array<int64_t, 3>{3, 8, 8}));
  EXPECT_EQ(set->label(11), 1);
  EXPECT_EQ(set->image(2)[0][0][1].item<int>(), (31 * 2 + 7) % 256);
}

TEST(MemoryDataset, WhatDoesNotFitIsAnError) {
  const auto make = [](at::Tensor images, std::vector<int64_t> labels) {
    MemoryDataset set(images, labels, {"a", "b"}, "some.file");
  };
  const auto images = at::zeros({3, 1, 2, 2}, at::kByte);
  EXPECT_ERROR(make(images, {0, 1}), "some.file: 3 images and 2 labels; expected as many");
  EXPECT_ERROR(make(images, {0, 1, 2}), "label 2 of image 2; expected 0 to 1");
  EXPECT_ERROR(make(images, {0, -1, 1}), "label -1 of image 1; expected 0 to 1");
  EXPECT_ERROR(make(images.to(at::kFloat), {0, 1, 1}), "Float (3,1,2,2); expected images as uint8");
  EXPECT_ERROR(make(images[0], {0, 1, 1}), "expected images as uint8 (N,C,H,W)");
}

TEST(Dataset, ImageOfAnotherShapeOrTypeIsAnError) {
  class Wrong : public CountingDataset {
   public:
    using CountingDataset::CountingDataset;
    at::Tensor image(int64_t index) const override {
      return index == 0 ? at::zeros({3, 8, 9}, at::kByte) : at::zeros({3, 8, 8});
    }
  };
  std::vector<uint8_t> pixels(192);
  Wrong set(2);
  EXPECT_ERROR(set.read_image(0, pixels.data()), "image 0: Byte (3,8,9); expected uint8 (3,8,8)");
  EXPECT_ERROR(set.read_image(1, pixels.data()), "image 1: Float (3,8,8); expected uint8 (3,8,8)");
}

TEST(Dataset, LabelOutsideTheClassesIsAnErrorInTheLoader) {
  class Wrong : public CountingDataset {
   public:
    using CountingDataset::CountingDataset;
    int64_t label(int64_t) const override { return 10; }
  };
  Loader loader(std::make_shared<Wrong>(3), {});
  loader.start_epoch(0);
  EXPECT_ERROR(loader.next(), "label 10 of image");
}

TEST(Dataset, ClassesHaveNumbersForNamesUnlessTheSetKnowsBetter) {
  EXPECT_EQ(CountingDataset(1).class_names()[9], "9");
}

TEST(CachedDataset, DecodesEachImageOnceForAnyNumberOfEpochsAndWorkers) {
  auto source = std::make_shared<CountingDataset>(60);
  LoaderOptions options;
  options.batch = 7;
  options.workers = 3;
  Loader plain(numbered_images(60), options), kept(cached(source), options);
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    plain.start_epoch(epoch);
    kept.start_epoch(epoch);
    EXPECT_TRUE(same(rest(plain), rest(kept)));
  }
  EXPECT_EQ(source->reads, 60);
}

TEST(CachedDataset, IsItsSourceInAllElse) {
  const auto set = cached(numbered_images(5));
  EXPECT_EQ(set->size(), 5);
  EXPECT_EQ(set->classes(), 10);
  EXPECT_EQ(set->class_names()[1], "b");
  EXPECT_EQ(set->label(4), 4);
  EXPECT_TRUE(at::equal(set->image(3), numbered_images(5)->image(3)));
}

TEST(CachedDataset, ThreadsThatWantTheSameImageShareOneDecoding) {
  auto source = std::make_shared<CountingDataset>(1);
  const auto set = cached(source);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&] { set->image(0); });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(source->reads, 1);
}

TEST(CachedDataset, ImageThatFailedIsTriedAgain) {
  auto source = std::make_shared<CountingDataset>(6, 5);
  const auto set = cached(source);
  for (int again = 0; again < 2; ++again) EXPECT_THROW(set->image(5), std::out_of_range);
  EXPECT_EQ(source->reads, 2);
}

}  // namespace
}  // namespace halftone::data
