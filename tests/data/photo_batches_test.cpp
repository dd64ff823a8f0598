// Against torchvision (tests/goldens/photos.py).
#include "halftone/data/photo_batches.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "halftone/base/error.h"
#include "halftone/base/file.h"
#include "halftone/base/json.h"
#include "halftone/data/loader.h"
#include "halftone/data/random.h"
#include "tests/support/test.h"
#include "tests/support/tolerances.h"

namespace halftone::data {
namespace {

// Image i: (8 + i)x(12 - i) in a colour that tells i.
class PlainPhotos : public Photos {
 public:
  int64_t size() const override { return 6; }
  int64_t classes() const override { return 3; }
  int64_t label(int64_t index) const override { return index % 3; }
  at::Tensor read(int64_t index) const override {
    return at::arange(3 * (8 + index) * (12 - index), at::kLong)
        .remainder(200)
        .add(index)
        .to(at::kByte)
        .view({3, 8 + index, 12 - index});
  }
};

PhotoView small_view(bool augment) {
  PhotoView view;
  view.height = 6;
  view.width = 5;
  view.resize = 7;
  view.augment = augment;
  return view;
}

Json photo_golden() {
  const std::string path = std::string(HALFTONE_SOURCE_DIR) + "/tests/goldens/photos.json";
  return Json::parse(read_file(path), path);
}

// As the script's picture().
at::Tensor golden_picture(int64_t height, int64_t width) {
  const at::Tensor c = at::arange(3).view({3, 1, 1}), y = at::arange(height).view({1, height, 1}),
                   x = at::arange(width).view({1, 1, width});
  return (71 * c + 13 * y * y + 7 * x * x + 5 * x * y).remainder(256).to(at::kByte);
}

TEST(PhotoInput, IsResizedAndCutAsPillowAndTorchvisionDo) {
  const Json goldens = photo_golden();
  for (const Json& golden : goldens.at("evaluation").as_array()) {
    const int64_t height = golden.at("height").as_int(), width = golden.at("width").as_int();
    SCOPED_TRACE(std::to_string(height) + "x" + std::to_string(width));
    PhotoView view;
    view.height = view.width = golden.at("crop").as_int();
    view.resize = golden.at("resize").as_int();
    const at::Tensor input = photo_input(view, golden_picture(height, width)) * 255;
    std::vector<float> pixels;
    for (const Json& pixel : golden.at("pixels").as_array()) {
      pixels.push_back(static_cast<float>(pixel.as_int()));
    }
    const at::Tensor expected = at::tensor(pixels).view({1, 3, view.height, view.width});
    EXPECT_LE((input - expected).abs().max().item<double>(), tolerance::kPillowResize);
  }
}

// Shares of `values` are those of the golden, within five binomial deviations of both samples.
void expect_shares(const std::vector<double>& values, const Json& golden, double draws) {
  const auto count = static_cast<double>(values.size());
  for (const Json& each : golden.as_array()) {
    const double threshold = each.as_array()[0].as_double(), share = each.as_array()[1].as_double();
    const auto found = std::count_if(values.begin(), values.end(),
                                     [&](double value) { return value <= threshold; });
    const double deviation = std::sqrt(share * (1 - share) * (1 / count + 1 / draws));
    EXPECT_NEAR(static_cast<double>(found) / count, share, 5 * deviation) << "<= " << threshold;
  }
}

TEST(RandomResizedCrop, IsDrawnAsTorchvisionDraws) {
  constexpr uint64_t kDraws = 20'000;
  const Json goldens = photo_golden();
  for (const Json& golden : goldens.at("drawn").as_array()) {
    const int64_t height = golden.at("height").as_int(), width = golden.at("width").as_int();
    std::vector<Window> crops;
    for (uint64_t key = 0; key < kDraws; ++key) {
      crops.push_back(random_resized_crop(small_view(true), height, width, key));
    }
    const auto check = [&](const char* name, const std::function<double(const Window&)>& measure) {
      SCOPED_TRACE(std::string(name) + " of " + std::to_string(height));
      std::vector<double> values;
      for (const Window& crop : crops) values.push_back(measure(crop));
      expect_shares(values, golden.at(name), golden.at("draws").as_double());
    };
    const auto area = static_cast<double>(height * width);
    check("area", [area](const Window& w) { return w.height * w.width / area; });
    check("log_ratio", [](const Window& w) { return std::log(w.width / w.height); });
    check("top", [](const Window& w) { return w.top; });
    check("left", [](const Window& w) { return w.left; });
    const auto flips = std::count_if(crops.begin(), crops.end(), [](auto& w) { return w.flip_x; });
    EXPECT_NEAR(static_cast<double>(flips) / kDraws, 0.5, 5 * 0.5 / std::sqrt(kDraws));
  }
}

TEST(RandomResizedCrop, LiesWithinTheImage) {
  for (const auto& [height, width] : {std::pair<int64_t, int64_t>{1, 1}, {1, 2}, {3, 2}, {40, 9}}) {
    for (uint64_t key = 0; key < 500; ++key) {
      const Window crop = random_resized_crop(small_view(true), height, width, key);
      ASSERT_GE(crop.top, 0);
      ASSERT_GE(crop.left, 0);
      ASSERT_GE(crop.height, 1);
      ASSERT_GE(crop.width, 1);
      ASSERT_LE(crop.top + crop.height, height);
      ASSERT_LE(crop.left + crop.width, width);
    }
  }
}

TEST(RandomResizedCrop, OfAnImageThatNoneFitsIsItsMiddle) {
  const Json goldens = photo_golden();
  for (const Json& golden : goldens.at("unfit").as_array()) {
    const Window crop = random_resized_crop(small_view(true), golden.at("height").as_int(),
                                            golden.at("width").as_int(), 3);
    const auto& expected = golden.at("crop").as_array();
    EXPECT_EQ(crop.top, expected[0].as_double());
    EXPECT_EQ(crop.left, expected[1].as_double());
    EXPECT_EQ(crop.height, expected[2].as_double());
    EXPECT_EQ(crop.width, expected[3].as_double());
  }
}

// LibTorch's antialiased resize is what torchvision uses for tensors.
TEST(PhotoBatches, ACropIsResizedAloneAndMirrored) {
  const auto photos = std::make_shared<PlainPhotos>();
  const PhotoView view = small_view(true);
  const PhotoBatches batches(photos, view);
  bool mirrored = false, straight = false;
  for (int64_t index = 0; index < photos->size(); ++index) {
    const at::Tensor image = photos->read(index);
    const Window crop = random_resized_crop(view, image.size(1), image.size(2),
                                            stream_key(3, 2, static_cast<uint64_t>(index)));
    const auto whole = [](double value) { return static_cast<int64_t>(value); };
    at::Tensor expected = image.narrow(1, whole(crop.top), whole(crop.height))
                              .narrow(2, whole(crop.left), whole(crop.width))
                              .to(at::kFloat)
                              .unsqueeze(0);
    expected = at::_upsample_bilinear2d_aa(expected, {view.height, view.width}, false) / 255;
    if (crop.flip_x) expected = expected.flip(3);
    (crop.flip_x ? mirrored : straight) = true;
    const at::Tensor input = batches.build({&index, 1}, 2, 3).input;
    EXPECT_LE((input - expected).abs().max().item<double>(), tolerance::kFp32) << index;
  }
  EXPECT_TRUE(mirrored && straight);
}

TEST(PhotoInput, OfOnePixelIsItsColour) {
  const at::Tensor pixel = at::tensor({10, 20, 255}, at::kByte).view({3, 1, 1});
  const at::Tensor input = photo_input(small_view(false), pixel) * 255;
  EXPECT_TRUE(at::allclose(input, pixel.to(at::kFloat).expand({1, 3, 6, 5}), tolerance::kFp32));
}

TEST(PhotoBatches, AreTheSameForAnyNumberOfWorkers) {
  const auto photos = std::make_shared<PlainPhotos>();
  std::vector<at::Tensor> expected;
  for (const int workers : {0, 1, 3}) {
    LoaderOptions options;
    options.batch = 4;
    options.seed = 5;
    options.workers = workers;
    Loader loader(std::make_shared<PhotoBatches>(photos, small_view(true)), options);
    std::vector<at::Tensor> found;
    for (int64_t epoch = 0; epoch < 2; ++epoch) {
      loader.start_epoch(epoch);
      while (const auto batch = loader.next()) {
        EXPECT_EQ(batch->target.size(0), batch->input.size(0));
        EXPECT_EQ(batch->target[0].item<int64_t>(), batch->indices[0] % 3);
        found.push_back(batch->input);
      }
    }
    if (expected.empty()) expected = found;
    ASSERT_EQ(found.size(), 4u);
    for (size_t i = 0; i < found.size(); ++i) EXPECT_TRUE(found[i].equal(expected[i])) << workers;
  }
  EXPECT_FALSE(expected[0].equal(expected[2]));  // another epoch, other crops
}

TEST(PhotoBatches, PredictionSeesWhatEvaluationSees) {
  const auto photos = std::make_shared<PlainPhotos>();
  const PhotoBatches batches(photos, small_view(false));
  const int64_t index = 4;
  const Batch batch = batches.build({&index, 1}, 0, 0);
  EXPECT_EQ(batch.input.sizes(), at::IntArrayRef({1, 3, 6, 5}));
  EXPECT_TRUE(batch.input.is_contiguous(at::MemoryFormat::ChannelsLast));
  EXPECT_TRUE(batch.input.equal(photo_input(small_view(true), photos->read(4))));
}

TEST(PhotoBatches, ViewsThatMakeNoSenseAreErrors) {
  const auto expect = [](const auto& change, const std::string& message) {
    PhotoView view;
    change(view);
    EXPECT_ERROR(PhotoBatches(std::make_shared<PlainPhotos>(), view), message);
  };
  expect([](auto& v) { v.height = 0; }, "photo view, height: 0");
  expect([](auto& v) { v.least_area = 0; }, "photo view, least_area: 0");
  expect([](auto& v) { v.most_ratio = 0.5; }, "photo view, most_ratio: 0.5");
  expect([](auto& v) { v.resize = 223; },
         "photo view, resize: 223; expected height and width, or more");
}

}  // namespace
}  // namespace halftone::data
