#include "halftone/data/mask_batches.h"

#include <ATen/Functions.h>

#include "halftone/data/loader.h"
#include "tests/support/test.h"

namespace halftone::data {
namespace {

// Three vertical bands of classes; the image shows class k as brightness 80 k.
struct BandImages : MaskedImages {
  int64_t size() const override { return 13; }
  int64_t classes() const override { return 3; }
  MaskedImage read(int64_t index) const override {
    const at::Tensor columns = (at::arange(24) + index) / 8;
    const at::Tensor mask = columns.to(at::kLong).remainder(3).to(at::kByte).expand({16, 24});
    return {(mask * 80).unsqueeze(0).expand({3, 16, 24}).contiguous(), mask.contiguous()};
  }
};

MaskBatchOptions band_options() {
  MaskBatchOptions options;
  options.view.window = {
      .height = 32, .width = 48, .least_scale = 0.7, .most_scale = 2, .horizontal_flip = true};
  options.view.augment = true;
  return options;
}

std::vector<Batch> all_batches(int workers) {
  LoaderOptions options;
  options.batch = 4;
  options.seed = 3;
  options.workers = workers;
  Loader loader(std::make_shared<MaskBatches>(std::make_shared<BandImages>(), band_options()),
                options);
  std::vector<Batch> batches;
  for (const int64_t epoch : {0, 1}) {
    loader.start_epoch(epoch);
    while (auto batch = loader.next()) batches.push_back(std::move(*batch));
  }
  return batches;
}

TEST(MaskBatches, AreTheSameForAnyNumberOfWorkersAndDifferFromEpochToEpoch) {
  const auto serial = all_batches(0), parallel = all_batches(3);
  ASSERT_EQ(serial.size(), 8u);
  ASSERT_EQ(parallel.size(), 8u);
  for (size_t i = 0; i < 8; ++i) {
    EXPECT_TRUE(at::equal(serial[i].input, parallel[i].input));
    EXPECT_TRUE(at::equal(serial[i].target, parallel[i].target));
  }
  EXPECT_FALSE(at::equal(serial[0].target, serial[4].target));
}

TEST(MaskBatches, MaskMovesWithTheImage) {
  for (const Batch& batch : all_batches(1)) {
    EXPECT_EQ(batch.input.sizes().slice(1), at::IntArrayRef({3, 32, 48}));
    EXPECT_TRUE(batch.input.is_contiguous(at::MemoryFormat::ChannelsLast));
    const at::Tensor shown = (batch.input.select(1, 0) * 255 / 80).round().to(at::kLong);
    const at::Tensor inside = batch.target.ne(3);
    const at::Tensor wrong = shown.ne(batch.target).logical_and(inside);
    // Two edges of bands, each blurred over at most 3 of 48 columns either side.
    EXPECT_LT(wrong.to(at::kFloat).mean().item<double>(), 6.0 / 48);
    EXPECT_GT(inside.to(at::kFloat).mean().item<double>(), 0.4);
    EXPECT_EQ(shown.masked_select(inside.logical_not()).sum().item<int64_t>(), 0);
  }
}

TEST(MaskBatches, EvaluationKeepsTheMasksOwnSize) {
  MaskBatchOptions options;
  options.view.window = {.height = 8, .width = 12};
  options.mask_height = 16;
  options.mask_width = 24;
  const BandImages images;
  const MaskBatches batches(std::make_shared<BandImages>(), options);
  const std::vector<int64_t> indices{5, 0};
  const Batch batch = batches.build(indices, 0, 0);
  EXPECT_EQ(batch.input.sizes(), at::IntArrayRef({2, 3, 8, 12}));
  EXPECT_TRUE(at::equal(batch.target[0], images.read(5).mask.to(at::kLong)));
  EXPECT_TRUE(at::equal(batch.target[1], images.read(0).mask.to(at::kLong)));
}

}  // namespace
}  // namespace halftone::data
