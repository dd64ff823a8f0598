#include "halftone/data/loader.h"

#if defined(__linux__)
#include <sched.h>
#endif

#include <algorithm>
#include <set>
#include <thread>

#include "halftone/data/order.h"
#include "halftone/precision/autocast.h"
#include "tests/data/sets_for_tests.h"
#include "tests/support/test.h"

namespace halftone::data {
namespace {

LoaderOptions options(int64_t batch, int workers = 1) {
  LoaderOptions o;
  o.batch = batch;
  o.seed = 7;
  o.workers = workers;
  o.augmentation = everything();
  return o;
}

// Numbers 0 to 9 put in descending order within an epoch.
struct Descending : BatchBuilder {
  int64_t size() const override { return 10; }
  Batch build(std::span<const int64_t> indices, int64_t, uint64_t) const override {
    return {.indices = {indices.begin(), indices.end()}};
  }
  void arrange(std::vector<int64_t>& order, int64_t batch, uint64_t) const override {
    EXPECT_EQ(batch, 4);
    std::sort(order.rbegin(), order.rend());
  }
};

TEST(Loader, BuilderOfAnyKindMayArrangeItsExamples) {
  Loader loader(std::make_shared<Descending>(), options(4));
  loader.start_epoch(0);
  std::vector<int64_t> seen;
  while (const auto batch = loader.next()) {
    seen.insert(seen.end(), batch->indices.begin(), batch->indices.end());
  }
  EXPECT_EQ(seen, (std::vector<int64_t>{9, 8, 7, 6, 5, 4, 3, 2, 1, 0}));
}

TEST(Loader, VisitsEveryImageOncePerEpoch) {
  Loader loader(numbered_images(50), options(8));
  EXPECT_EQ(loader.batches(), 7);
  for (int64_t epoch : {0, 1}) {
    loader.start_epoch(epoch);
    std::multiset<int64_t> seen;
    const auto batches = rest(loader);
    ASSERT_EQ(batches.size(), 7u);
    for (const auto& batch : batches) seen.insert(batch.indices.begin(), batch.indices.end());
    EXPECT_EQ(seen.size(), 50u);
    EXPECT_EQ(std::set<int64_t>(seen.begin(), seen.end()).size(), 50u);
    EXPECT_EQ(batches.back().input.size(0), 2);
  }
}

TEST(Loader, BatchIsFp32ChannelsLastWithInt64Targets) {
  Loader loader(numbered_images(20), options(8));
  loader.start_epoch(0);
  const Batch batch = *loader.next();
  EXPECT_EQ(batch.input.sizes(), at::IntArrayRef({8, 3, 8, 8}));
  EXPECT_EQ(batch.input.scalar_type(), at::kFloat);
  EXPECT_TRUE(batch.input.is_contiguous(at::MemoryFormat::ChannelsLast));
  EXPECT_EQ(batch.target.scalar_type(), at::kLong);
  for (int64_t i = 0; i < 8; ++i) {
    EXPECT_EQ(batch.target[i].item<int64_t>(), batch.indices[static_cast<size_t>(i)] % 10);
  }
}

TEST(Loader, BatchesAreTheSameForAnyNumberOfWorkersAndPrefetch) {
  for (int64_t epoch : {0, 3}) {
    Loader serial(numbered_images(101), options(8, 0));
    serial.start_epoch(epoch);
    const auto expected = rest(serial);
    for (int workers : {1, 2, 5}) {
      for (int64_t prefetch : {1, 2, 9}) {
        SCOPED_TRACE(std::to_string(workers) + " workers, prefetch " + std::to_string(prefetch));
        auto o = options(8, workers);
        o.prefetch = prefetch;
        Loader loader(numbered_images(101), o);
        loader.start_epoch(epoch);
        EXPECT_TRUE(same(rest(loader), expected));
      }
    }
  }
}

TEST(Loader, AugmentationOfAnImageDoesNotDependOnItsBatch) {
  Loader small(numbered_images(40), options(3)), large(numbered_images(40), options(40));
  small.start_epoch(2);
  large.start_epoch(2);
  const Batch all = *large.next();
  int64_t place = 0;
  for (const auto& batch : rest(small)) {
    const int64_t count = batch.input.size(0);
    EXPECT_TRUE(at::equal(batch.input, all.input.narrow(0, place, count)));
    place += count;
  }
  EXPECT_EQ(place, 40);
}

TEST(Loader, SeedAndEpochChangeOrderAndAugmentation) {
  auto first = [](uint64_t seed, int64_t epoch, bool shuffle) {
    auto o = options(50);
    o.seed = seed;
    o.shuffle = shuffle;
    Loader loader(numbered_images(50), o);
    loader.start_epoch(epoch);
    return *loader.next();
  };
  EXPECT_NE(first(1, 0, true).indices, first(2, 0, true).indices);
  EXPECT_NE(first(1, 0, true).indices, first(1, 1, true).indices);
  EXPECT_EQ(first(1, 0, false).indices, first(1, 1, false).indices);
  EXPECT_FALSE(at::equal(first(1, 0, false).input, first(1, 1, false).input));
  EXPECT_FALSE(at::equal(first(1, 0, false).input, first(2, 0, false).input));
}

TEST(Loader, OrderOfASeedIsPinnedAcrossVersions) {
  EXPECT_EQ(epoch_order(8, true, 0, 0), (std::vector<int64_t>{3, 2, 1, 6, 0, 7, 4, 5}));
  EXPECT_EQ(epoch_order(8, true, 1, 5), (std::vector<int64_t>{2, 5, 0, 7, 3, 1, 4, 6}));
}

TEST(Loader, EveryPlaceIsEquallyLikely) {
  std::array<int, 5> at_front{};
  for (int64_t epoch = 0; epoch < 5000; ++epoch) {
    ++at_front[static_cast<size_t>(epoch_order(5, true, 3, epoch)[0])];
  }
  // 1000 expected, standard deviation sqrt(5000 * 0.2 * 0.8) = 28; five of them.
  for (int count : at_front) EXPECT_NEAR(count, 1000, 141);
}

TEST(Loader, ResumesInTheMiddleOfAnEpochWithIdenticalBatches) {
  for (int workers : {0, 2}) {
    Loader whole(numbered_images(50), options(8, workers));
    whole.start_epoch(4);
    auto expected = rest(whole);
    expected.erase(expected.begin(), expected.begin() + 3);
    Loader resumed(numbered_images(50), options(8, workers));
    resumed.start_epoch(4, 3);
    EXPECT_TRUE(same(rest(resumed), expected));
    resumed.start_epoch(4, 7);
    EXPECT_FALSE(resumed.next().has_value());
  }
}

TEST(Loader, SavedAndRestoredEqualsUninterrupted) {
  Loader whole(numbered_images(50), options(8, 2));
  whole.start_epoch(1);
  whole.next();
  whole.next();
  const StateDict saved = whole.state_dict();
  auto expected = rest(whole);
  whole.start_epoch(2);
  for (auto& batch : rest(whole)) expected.push_back(std::move(batch));

  auto o = options(8, 1);
  o.seed = 99;  // the saved seed takes its place
  Loader restored(numbered_images(50), o);
  restored.load_state_dict(saved);
  EXPECT_EQ(restored.epoch(), 1);
  EXPECT_EQ(restored.position(), 2);
  auto batches = rest(restored);
  restored.start_epoch(2);
  for (auto& batch : rest(restored)) batches.push_back(std::move(batch));
  EXPECT_TRUE(same(batches, expected));
}

TEST(Loader, StateOfAnotherLoaderIsRefusedAndChangesNothing) {
  Loader saved(numbered_images(50), options(8));
  saved.start_epoch(1);
  StateDict state = saved.state_dict();
  Loader other(numbered_images(50), options(16)), smaller(numbered_images(49), options(8));
  EXPECT_ERROR(other.load_state_dict(state), "batch: saved with 8; expected 16");
  EXPECT_ERROR(smaller.load_state_dict(state), "size: saved with 50; expected 49");
  EXPECT_EQ(other.epoch(), -1);

  Loader same_kind(numbered_images(50), options(8));
  StateDict missing = state.copy();
  EXPECT_EQ(missing.erase("epoch"), 1u);
  EXPECT_ERROR(same_kind.load_state_dict(missing), "epoch: no such key");
  StateDict wrong = state.copy();
  wrong.insert_or_assign("position", std::string("three"));
  EXPECT_ERROR(same_kind.load_state_dict(wrong),
               "position: a value of type String; expected an integer");
  StateDict far = state.copy();
  far.insert_or_assign("position", int64_t{8});
  EXPECT_ERROR(same_kind.load_state_dict(far), "position: 8; expected 0 to 7");
  StateDict more = state.copy();
  more.insert("colour", int64_t{8});
  EXPECT_ERROR(same_kind.load_state_dict(more), "colour: an unknown key");
  EXPECT_EQ(same_kind.epoch(), -1);
}

TEST(Loader, DropLastLeavesOutTheRest) {
  auto o = options(8);
  o.drop_last = true;
  Loader loader(numbered_images(50), o);
  EXPECT_EQ(loader.batches(), 6);
  loader.start_epoch(0);
  for (const auto& batch : rest(loader)) EXPECT_EQ(batch.input.size(0), 8);
}

TEST(Loader, BatchLargerThanTheDataIsOneBatch) {
  Loader loader(numbered_images(5), options(8));
  EXPECT_EQ(loader.batches(), 1);
  loader.start_epoch(0);
  EXPECT_EQ(loader.next()->input.size(0), 5);
  EXPECT_FALSE(loader.next().has_value());
}

TEST(Loader, OptionsThatMakeNoSenseAreErrors) {
  const auto make = [](auto change) {
    auto o = options(8);
    change(o);
    Loader loader(numbered_images(5), o);
  };
  EXPECT_ERROR(make([](auto& o) { o.batch = 0; }), "batch: 0; expected 1 or more");
  EXPECT_ERROR(make([](auto& o) { o.workers = -1; }), "workers: -1; expected 0 or more");
  EXPECT_ERROR(make([](auto& o) { o.prefetch = 0; }), "prefetch: 0; expected 1 or more");
  EXPECT_ERROR(make([](auto& o) { o.drop_last = true; }), "8 with drop_last; expected at most");
  EXPECT_ERROR(Loader(std::shared_ptr<const Dataset>(), options(8)), "no data set");
  EXPECT_ERROR(Loader(numbered_images(0), options(8)), "a data set of 0 examples");
}

TEST(Loader, EpochsThatMakeNoSenseAreErrors) {
  Loader loader(numbered_images(50), options(8));
  EXPECT_ERROR(loader.next(), "next() before start_epoch()");
  EXPECT_ERROR(loader.start_epoch(-1), "epoch: -1");
  EXPECT_ERROR(loader.start_epoch(0, 8), "first_batch: 8; expected 0 to 7");
}

TEST(Loader, WorkersExceptionReachesNextAsItIsInItsBatchsTurn) {
  for (int workers : {0, 1, 3}) {
    auto o = options(2, workers);
    o.shuffle = false;
    Loader loader(std::make_shared<CountingDataset>(50, 5), o);
    loader.start_epoch(0);
    EXPECT_TRUE(loader.next().has_value());
    EXPECT_TRUE(loader.next().has_value());
    for (int again = 0; again < 2; ++again) {
      std::string message;
      try {
        loader.next();
      } catch (const std::out_of_range& error) {
        message = error.what();
      }
      EXPECT_EQ(message, "image 5 is out of reach");
    }
    loader.start_epoch(0, 3);
    EXPECT_EQ(rest(loader).size(), 22u);
  }
}

TEST(Loader, StopsCleanlyInTheMiddleOfAnEpoch) {
  for (int taken = 0; taken < 5; ++taken) {
    Loader loader(std::make_shared<CountingDataset>(200), options(2, 3));
    loader.start_epoch(0);
    for (int i = 0; i < taken; ++i) loader.next();
    loader.start_epoch(1);
    loader.next();
  }
}

TEST(Loader, BuildsAheadAsFarAsPrefetchAndNoFurther) {
  auto data = std::make_shared<CountingDataset>(100);
  auto o = options(2, 2);
  o.prefetch = 3;
  Loader loader(data, o);
  loader.start_epoch(0);
  const auto settles_at = [&](int reads) {
    for (int i = 0; i < 500 && data->reads < reads; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return data->reads.load();
  };
  EXPECT_EQ(settles_at(6), 6);
  loader.next();
  EXPECT_EQ(settles_at(8), 8);
}

// A user's transform, run in image(), multiplies matrices.
class Multiplying : public CountingDataset {
 public:
  using CountingDataset::CountingDataset;
  at::Tensor image(int64_t index) const override {
    const at::Tensor x = at::ones({2, 2});
    format = at::mm(x, x).scalar_type();
    return CountingDataset::image(index);
  }
  mutable std::atomic<c10::ScalarType> format{at::kDouble};
};

TEST(Loader, TrapANewThreadStartsWithAutocastOff) {
  const auto seen = [](Loader& loader, const Multiplying& data) {
    rest(loader);
    return data.format.load();
  };
  for (int workers : {0, 1, 2}) {
    auto data = std::make_shared<Multiplying>(8);
    Loader loader(data, options(4, workers));
    {
      const Autocast autocast(Policy::preset("bf16"));
      loader.start_epoch(0);
      EXPECT_EQ(seen(loader, *data), at::kBFloat16);
      const AutocastDisabled island;
      loader.start_epoch(1);
      EXPECT_EQ(seen(loader, *data), at::kFloat);
    }
    loader.start_epoch(2);
    EXPECT_EQ(seen(loader, *data), at::kFloat);
  }
}

TEST(Loader, WaitingIsCounted) {
  class Slow : public CountingDataset {
   public:
    using CountingDataset::CountingDataset;
    at::Tensor image(int64_t index) const override {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      return CountingDataset::image(index);
    }
  };
  for (int workers : {0, 1}) {
    Loader loader(std::make_shared<Slow>(4), options(2, workers));
    EXPECT_EQ(loader.wait_seconds(), 0);
    loader.start_epoch(0);
    rest(loader);
    EXPECT_GE(loader.wait_seconds(), 0.010);  // the first batch at least cannot be built ahead
  }
}

#if defined(__linux__)
// A worker that wakes must not run in the place of the thread that takes batches.
TEST(Loader, WorkersGiveWayToTheStep) {
  class Scheduled : public CountingDataset {
   public:
    using CountingDataset::CountingDataset;
    at::Tensor image(int64_t index) const override {
      policy = sched_getscheduler(0);
      return CountingDataset::image(index);
    }
    mutable std::atomic<int> policy{-1};
  };
  auto data = std::make_shared<Scheduled>(4);
  Loader loader(data, options(2, 1));
  loader.start_epoch(0);
  rest(loader);
  EXPECT_EQ(data->policy, SCHED_BATCH);
  EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER);
}
#endif

}  // namespace
}  // namespace halftone::data
