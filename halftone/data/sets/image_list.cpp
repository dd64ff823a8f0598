#include "halftone/data/sets/image_list.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>

#include "halftone/base/error.h"
#include "halftone/base/log.h"
#include "halftone/data/codec/decode.h"

namespace halftone::data {
namespace {

constexpr size_t kNamedInMessage = 5;
constexpr size_t kOneIn = 100;  // more bad images than one in so many are an error

// Decodes one image to `chw`. Throws where it can't.
void decode_one(const ImageList& list, const ListedImage& image, std::array<int64_t, 3> shape,
                uint8_t* chw) {
  const std::string content = list.read(image);
  const Pixels pixels = decode_image(as_bytes(content), image.name);
  if (pixels.height != shape[1] || pixels.width != shape[2]) {
    throw Error("an image of " + std::to_string(pixels.width) + "x" + std::to_string(pixels.height),
                std::to_string(shape[2]) + "x" + std::to_string(shape[1]), image.name);
  }
  const auto plane = static_cast<size_t>(shape[1] * shape[2]);
  for (int64_t c = 0; c < shape[0]; ++c) {
    const size_t from = pixels.channels == shape[0] ? static_cast<size_t>(c) * plane : 0;
    std::memcpy(chw + static_cast<size_t>(c) * plane, pixels.chw.data() + from, plane);
  }
}

// One reason per image, empty where it was decoded.
std::vector<std::string> decode(const ImageList& list, std::array<int64_t, 3> shape, int threads,
                                uint8_t* pixels) {
  const auto bytes = static_cast<size_t>(shape[0] * shape[1] * shape[2]);
  std::vector<std::string> reasons(list.images.size());
  std::atomic<size_t> claimed{0};
  const auto work = [&] {
    for (size_t i; (i = claimed++) < list.images.size();) {
      try {
        decode_one(list, list.images[i], shape, pixels + i * bytes);
      } catch (const std::exception& error) {
        reasons[i] = error.what();
      }
    }
  };
  std::vector<std::jthread> pool;
  for (int i = 1; i < threads; ++i) pool.emplace_back(work);
  work();
  pool.clear();  // joins
  return reasons;
}

// Warns of the bad images, or throws where they are too many.
void report(const std::string& source, const std::vector<std::string>& reasons) {
  size_t bad = 0;
  std::string named;
  for (const auto& reason : reasons) {
    if (reason.empty()) continue;
    if (++bad <= kNamedInMessage) named += (bad > 1 ? "; " : "") + reason;
  }
  if (bad == 0) return;
  if (bad > kNamedInMessage) named += "; and " + std::to_string(bad - kNamedInMessage) + " more";
  const std::string given =
      std::to_string(bad) + " of " + std::to_string(reasons.size()) + " images cannot be read";
  if (bad * kOneIn > reasons.size()) throw Error(given + ": " + named, "at most 1 %", source);
  warn(source + ": " + given + (bad == 1 ? " and is" : " and are") + " left out: " + named);
}

}  // namespace

std::shared_ptr<Dataset> decode_all(const ImageList& list, std::vector<std::string> class_names,
                                    std::array<int64_t, 3> shape, int threads) {
  const auto count = static_cast<int64_t>(list.images.size());
  at::Tensor images = at::empty({count, shape[0], shape[1], shape[2]}, at::kByte);
  auto* pixels = images.mutable_data_ptr<uint8_t>();
  const auto reasons = decode(list, shape, threads, pixels);
  report(list.source, reasons);
  const size_t bytes = images.nbytes() / std::max<size_t>(list.images.size(), 1);
  std::vector<int64_t> labels;
  for (size_t i = 0; i < reasons.size(); ++i) {
    if (!reasons[i].empty()) continue;
    if (labels.size() < i) std::memmove(pixels + labels.size() * bytes, pixels + i * bytes, bytes);
    labels.push_back(list.images[i].label);
  }
  images = images.narrow(0, 0, static_cast<int64_t>(labels.size()));
  return std::make_shared<MemoryDataset>(images, std::move(labels), std::move(class_names),
                                         list.source);
}

}  // namespace halftone::data
