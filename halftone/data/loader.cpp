#include "halftone/data/loader.h"

#include <algorithm>
#include <chrono>
#include <string>

#include "halftone/base/error.h"
#include "halftone/data/image_batches.h"
#include "halftone/data/order.h"
#include "halftone/data/prefetcher.h"
#include "halftone/data/random.h"
#include "halftone/ops/state_reader.h"
#include "halftone/precision/autocast.h"

namespace halftone::data {
namespace {

// `value`, which `name` gives, is at least `least`.
void require(const char* name, int64_t value, int64_t least) {
  if (value >= least) return;
  throw UsageError(std::to_string(value), std::to_string(least) + " or more",
                   std::string("data loader, ") + name);
}

// What must be the same for a saved position to mean the same batches.
template <class T>
void require_same(const std::string& key, T saved, T now) {
  if (saved == now) return;
  throw Error("saved with " + std::to_string(saved), std::to_string(now), "data loader." + key);
}

}  // namespace

// All that the workers of the epoch under way read. They are joined (the last member goes first)
// before any of it goes.
struct Loader::Epoch {
  int64_t number;
  uint64_t seed;
  int64_t batch;
  std::vector<int64_t> order;
  const BatchBuilder& builder;
  std::unique_ptr<Prefetcher> prefetcher;  // null where workers is 0

  Batch build(int64_t which) const {
    const auto begin = static_cast<size_t>(which * batch);
    const auto count = std::min(static_cast<size_t>(batch), order.size() - begin);
    return builder.build(std::span(order).subspan(begin, count), number, seed);
  }
};

Loader::Loader(std::shared_ptr<const Dataset> dataset, LoaderOptions options)
    : Loader(std::make_shared<ImageBatches>(std::move(dataset), options.augmentation), options) {}

Loader::Loader(std::shared_ptr<const BatchBuilder> builder, LoaderOptions options)
    : builder_(std::move(builder)), options_(std::move(options)) {
  if (!builder_) throw UsageError("no data set", "a data set", "data loader");
  require("batch", options_.batch, 1);
  require("workers", options_.workers, 0);
  require("prefetch", options_.prefetch, 1);
  const int64_t size = builder_->size();
  if (size < 1) throw Error("a data set of 0 examples", "1 or more", "data loader");
  if (options_.drop_last && options_.batch > size) {
    throw UsageError(std::to_string(options_.batch) + " with drop_last",
                     "at most the data set's " + std::to_string(size) + " examples",
                     "data loader, batch");
  }
  batches_ = size / options_.batch;
  if (!options_.drop_last && size % options_.batch != 0) ++batches_;
}

Loader::~Loader() = default;

std::vector<int64_t> Loader::order(int64_t epoch) const {
  auto order = epoch_order(builder_->size(), options_.shuffle, options_.seed, epoch);
  builder_->arrange(order, options_.batch, stream_key(options_.seed, epoch, kArrangeStream));
  return order;
}

void Loader::start_epoch(int64_t epoch, int64_t first_batch) {
  require("epoch", epoch, 0);
  if (first_batch < 0 || first_batch > batches_) {
    throw UsageError(std::to_string(first_batch), "0 to " + std::to_string(batches_),
                     "data loader, first_batch");
  }
  running_.reset();
  running_.reset(new Epoch{epoch, options_.seed, options_.batch, order(epoch), *builder_, nullptr});
  epoch_ = epoch;
  position_ = first_batch;
  if (options_.workers > 0 && first_batch < batches_) {
    running_->prefetcher = std::make_unique<Prefetcher>(
        options_.workers, options_.prefetch, first_batch, batches_,
        [running = running_.get(), state = AutocastState::capture()](int64_t number) {
          const AutocastRestore restore(state);  // a new std::thread starts with autocast off
          return running->build(number);
        });
  }
}

std::optional<Batch> Loader::next() {
  if (!running_) throw Error("next() before start_epoch()", "start_epoch() first", "data loader");
  if (position_ == batches_) return std::nullopt;
  struct Wait {
    double& seconds;
    std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
    ~Wait() {
      seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    }
  } wait{wait_seconds_};
  Batch batch = running_->prefetcher ? running_->prefetcher->take() : running_->build(position_);
  ++position_;
  return batch;
}

StateDict Loader::state_dict() const {
  StateDict state = make_state_dict();
  state.insert("seed", static_cast<int64_t>(options_.seed));
  state.insert("epoch", epoch_);
  state.insert("position", position_);
  state.insert("size", builder_->size());
  state.insert("batch", options_.batch);
  state.insert("shuffle", options_.shuffle);
  state.insert("drop_last", options_.drop_last);
  return state;
}

void Loader::load_state_dict(const StateDict& state) {
  StateReader reader(state, "data loader");
  require_same("size", reader.integer("size"), builder_->size());
  require_same("batch", reader.integer("batch"), options_.batch);
  require_same("shuffle", reader.boolean("shuffle"), options_.shuffle);
  require_same("drop_last", reader.boolean("drop_last"), options_.drop_last);
  const int64_t seed = reader.integer("seed"), epoch = reader.integer("epoch"),
                position = reader.integer("position");
  reader.finish();
  if (epoch < -1) throw Error(std::to_string(epoch), "-1 or more", "data loader.epoch");
  if (position < 0 || position > batches_) {
    throw Error(std::to_string(position), "0 to " + std::to_string(batches_),
                "data loader.position");
  }
  running_.reset();
  options_.seed = static_cast<uint64_t>(seed);
  epoch_ = -1;
  position_ = 0;
  if (epoch >= 0) start_epoch(epoch, position);
}

}  // namespace halftone::data
