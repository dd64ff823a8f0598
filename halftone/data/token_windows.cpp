#include "halftone/data/token_windows.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "halftone/base/error.h"
#include "halftone/data/random.h"

namespace halftone::data {
namespace {

// A stream of its own beside the examples' and the order's.
constexpr uint64_t kShiftStream = ~uint64_t{2};

}  // namespace

TokenWindows::TokenWindows(at::Tensor tokens, int64_t length, bool shifted,
                           const std::string& source)
    : tokens_(std::move(tokens)), length_(length), windows_(0), shifted_(shifted) {
  if (length < 1) throw UsageError(std::to_string(length), "1 or more", "token windows, length");
  if (tokens_.dim() != 1 || tokens_.scalar_type() != at::kLong) {
    throw Error(std::string(c10::toString(tokens_.scalar_type())) + " of " +
                    std::to_string(tokens_.dim()) + " dimensions",
                "tokens (L) of Long", source);
  }
  const int64_t size = tokens_.size(0);
  if (size <= 2 * length) {
    throw Error("a text of " + std::to_string(size) + " tokens",
                "more than " + std::to_string(2 * length) + ", two windows", source);
  }
  tokens_ = tokens_.contiguous();
  windows_ = shifted ? (size - length) / length : (size - 1 + length - 1) / length;
}

Batch TokenWindows::build(std::span<const int64_t> indices, int64_t epoch, uint64_t seed) const {
  const auto count = static_cast<int64_t>(indices.size());
  const int64_t shift =
      shifted_ ? CounterRng(stream_key(seed, epoch, kShiftStream)).below(length_) : 0;
  const int64_t last = tokens_.size(0) - 1 - length_;
  const auto bytes = static_cast<size_t>(length_) * sizeof(int64_t);
  Batch batch;
  batch.input = at::empty({count, length_}, at::kLong);
  batch.target = at::empty({count, length_}, at::kLong);
  batch.indices.assign(indices.begin(), indices.end());
  const auto* tokens = tokens_.const_data_ptr<int64_t>();
  auto* input = batch.input.mutable_data_ptr<int64_t>();
  auto* target = batch.target.mutable_data_ptr<int64_t>();
  for (const int64_t index : indices) {
    const int64_t wanted = shift + index * length_, start = std::min(wanted, last);
    std::memcpy(input, tokens + start, bytes);
    std::memcpy(target, tokens + start + 1, bytes);
    std::fill_n(target, wanted - start, kIgnoredTarget);
    input += length_;
    target += length_;
  }
  return batch;
}

}  // namespace halftone::data
