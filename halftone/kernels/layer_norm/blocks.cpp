#include "halftone/kernels/layer_norm/blocks.h"

#include <algorithm>

#include "halftone/base/parallel.h"

namespace halftone::kernels {
namespace {

// Elements: some 5 us of work; less isn't handed to a thread.
constexpr std::int64_t kLayerNormSerial = 32768;
// 32 rows: partial sums are 4 % of what is read; 512: they stay right to 1e-5; between them, enough
// blocks for any number of threads.
constexpr std::int64_t kFewRows = 32, kManyRows = 512, kBlocks = 32;
constexpr std::int64_t kMergeGrain = 256;

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

std::int64_t block_rows(std::int64_t rows) {
  return std::clamp(divide_up(rows, kBlocks), kFewRows, kManyRows);
}

std::int64_t grain_of(std::int64_t elements) {
  return std::max<std::int64_t>(1, kLayerNormSerial / std::max<std::int64_t>(1, elements));
}

}  // namespace

std::int64_t layer_norm_workspace(std::int64_t rows, std::int64_t length) {
  return divide_up(rows, block_rows(rows)) * 8 * length + 8;
}

void layer_norm_forward_by(const LayerNormPasses& passes, const LayerNormForwardArgs& args) {
  parallel_for(0, args.rows, grain_of(args.length),
               [&](std::int64_t from, std::int64_t to) { passes.forward(args, from, to); });
}

void layer_norm_backward_by(const LayerNormPasses& passes, const LayerNormBackwardArgs& args) {
  const bool columns = args.dweight || args.dbias;
  const std::int64_t height = block_rows(args.rows), blocks = divide_up(args.rows, height);
  auto* partial = static_cast<float*>(args.workspace);
  parallel_for(0, blocks, grain_of(height * args.length), [&](std::int64_t from, std::int64_t to) {
    for (std::int64_t block = from; block < to; ++block) {
      passes.backward(args, block * height, std::min((block + 1) * height, args.rows),
                      columns ? partial + 2 * block * args.length : nullptr);
    }
  });
  if (!columns) return;
  parallel_for(0, args.length, kMergeGrain, [&](std::int64_t from, std::int64_t to) {
    constexpr std::int64_t kTogether = 64;
    for (std::int64_t first = from; first < to; first += kTogether) {
      const std::int64_t count = std::min(kTogether, to - first);
      double sums[kTogether] = {}, products[kTogether] = {};
      for (std::int64_t block = 0; block < blocks; ++block) {
        const float* of = partial + 2 * block * args.length + first;
        for (std::int64_t j = 0; j < count; ++j) sums[j] += of[j];
        for (std::int64_t j = 0; j < count; ++j) products[j] += of[args.length + j];
      }
      for (std::int64_t j = 0; j < count; ++j) {
        if (args.dbias) {
          set_element(args.parameters, args.dbias, first + j, static_cast<float>(sums[j]));
        }
        if (args.dweight) {
          set_element(args.parameters, args.dweight, first + j, static_cast<float>(products[j]));
        }
      }
    }
  });
}

}  // namespace halftone::kernels
