// The decoded-once cache over any data set.
#include <ATen/Functions.h>

#include <array>
#include <atomic>
#include <cstring>
#include <mutex>

#include "halftone/base/error.h"
#include "halftone/data/dataset.h"

namespace halftone::data {
namespace {

// Threads rarely want the same image at once: few locks, picked by index, are enough.
constexpr size_t kLocks = 64;

class Cached : public Dataset {
 public:
  explicit Cached(std::shared_ptr<const Dataset> source)
      : source_(std::move(source)), shape_(source_->image_shape()), bytes_(1) {
    for (int64_t extent : shape_) bytes_ *= static_cast<size_t>(extent);
    const auto images = static_cast<size_t>(source_->size());
    pixels_.reset(new uint8_t[images * bytes_]);
    filled_ = std::vector<std::atomic<bool>>(images);
  }

  int64_t size() const override { return source_->size(); }
  int64_t classes() const override { return source_->classes(); }
  std::vector<std::string> class_names() const override { return source_->class_names(); }
  std::array<int64_t, 3> image_shape() const override { return shape_; }
  int64_t label(int64_t index) const override { return source_->label(index); }

  at::Tensor image(int64_t index) const override {
    at::Tensor pixels = at::empty(shape_, at::kByte);
    read_image(index, pixels.mutable_data_ptr<uint8_t>());
    return pixels;
  }

  void read_image(int64_t index, uint8_t* chw) const override {
    const auto i = static_cast<size_t>(index);
    uint8_t* kept = pixels_.get() + i * bytes_;
    if (!filled_[i].load(std::memory_order_acquire)) {
      std::lock_guard lock(locks_[i % kLocks]);
      if (!filled_[i].load(std::memory_order_relaxed)) {
        source_->read_image(index, kept);
        filled_[i].store(true, std::memory_order_release);
      }
    }
    std::memcpy(chw, kept, bytes_);
  }

 private:
  std::shared_ptr<const Dataset> source_;
  std::array<int64_t, 3> shape_;
  size_t bytes_;
  std::unique_ptr<uint8_t[]> pixels_;  // uninitialised: a page is touched when its image comes in
  mutable std::vector<std::atomic<bool>> filled_;
  mutable std::array<std::mutex, kLocks> locks_;
};

}  // namespace

std::shared_ptr<Dataset> cached(std::shared_ptr<const Dataset> source) {
  if (!source) throw Error("no data set", "a data set to cache");
  return std::make_shared<Cached>(std::move(source));
}

}  // namespace halftone::data
