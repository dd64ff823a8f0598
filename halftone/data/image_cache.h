// Decoded images that are kept in memory, as many as a budget holds.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "halftone/base/export.h"

namespace halftone::data {

// Keeps the first images that come until the budget is used up: which they are decides how fast an
// epoch is, never what is in it. (To throw out the oldest would keep nothing for an epoch in random
// order over data larger than the budget that it does not lose again.) Thread-safe.
class HALFTONE_API ImageCache {
 public:
  // bytes: of pixels; 0 keeps nothing.
  explicit ImageCache(int64_t bytes) : budget_(bytes) {}

  // What `decode` gives for the file called `name`: uint8, any shape. The caller owns the tensor.
  // Throws what decode throws, and keeps nothing then.
  at::Tensor get(const std::string& name, const std::function<at::Tensor()>& decode);

  int64_t bytes() const;  // kept

 private:
  struct Kept {
    std::vector<int64_t> sizes;
    std::vector<uint8_t> bytes;  // not a tensor: no pass that counts tensors' memory sees it
  };

  int64_t budget_;
  int64_t used_ = 0;
  std::map<std::string, Kept> kept_;
  mutable std::mutex mutex_;
};

// Through the cache, or straight where there is none.
inline at::Tensor get_image(ImageCache* cache, const std::string& name,
                            const std::function<at::Tensor()>& decode) {
  return cache ? cache->get(name, decode) : decode();
}

}  // namespace halftone::data
